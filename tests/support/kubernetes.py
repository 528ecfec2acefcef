"""Helm, kubeconform and Kubernetes' own schemas, from the Go module proxy; made once, kept in the user's cache.

Needs a Go toolchain (``apt-get install golang-go``; a newer one that a module asks for is fetched by Go itself).
The schemas are the OpenAPI document that Kubernetes publishes, and the custom resources that KEDA and the Prometheus
operator publish, closed, so that a field nobody knows is a fault.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

_HELM: Final = "helm.sh/helm/v4/cmd/helm@v4.3.1"
_KUBECONFORM: Final = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
_KUBERNETES: Final = "k8s.io/kubernetes@v1.37.2"
_CUSTOM: Final = {
    "github.com/kedacore/keda/v2@v2.21.0": ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
_BUILD_TIMEOUT_S: Final = 1800.0
_INT_OR_STRING: Final = {"type": ["integer", "string"]}
_SPECIAL: Final[dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _INT_OR_STRING,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
}


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of what a chart is judged with."""

    helm: Path
    kubeconform: Path
    schemas: Path

    def render(self, chart: Path, values: Path | None = None, release: str = "bridge") -> str:
        """The chart's manifests; raises ``CalledProcessError`` with Helm's words."""
        given = ("--values", str(values)) if values else ()
        return _output(str(self.helm), "template", release, str(chart), "--namespace", "ccaas", *given)

    def faults(self, manifests: str) -> list[dict[str, Any]]:
        """What Kubernetes would not take."""
        location = f"{self.schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
        done = subprocess.run(
            [str(self.kubeconform), "-strict", "-verbose", "-output", "json", "-schema-location", location],
            input=manifests,
            capture_output=True,
            text=True,
            check=False,
        )
        resources: list[dict[str, Any]] = json.loads(done.stdout)["resources"]
        return [each for each in resources if each["status"] != "statusValid"]


def tools() -> Tools:
    """What is in the cache, made if it isn't there; the test fails, and says how to get it, where there is no Go."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccaas-kafka-bridge"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Tools(_program(cache, _HELM), _program(cache, _KUBECONFORM), _schemas(cache))


def _program(cache: Path, package: str) -> Path:
    """Build a program, under a name with its version."""
    module, _, version = package.partition("@")
    name = module.rpartition("/")[2]
    program = cache / f"{name}-{version}"
    if not program.is_file():
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            _go("install", package, env={"GOBIN": directory})
            (Path(directory) / name).rename(program)
    return program


def _schemas(cache: Path) -> Path:
    """One file a kind, named as kubeconform names them: ``deployment-apps-v1.json``."""
    made = cache / f"kubernetes-{_KUBERNETES.partition('@')[2]}"
    if not made.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            target = Path(directory) / "schemas"
            target.mkdir()
            for name, schema in [*_built_in(), *_custom()]:
                (target / f"{name.lower()}.json").write_text(json.dumps(schema))
            target.rename(made)
    return made


def _built_in() -> Iterator[tuple[str, dict[str, Any]]]:
    document = json.loads((_module(_KUBERNETES) / "api/openapi-spec/swagger.json").read_text())
    definitions = {
        name: _SPECIAL.get(name) or _closed(definition) for name, definition in document["definitions"].items()
    }
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].partition(".")[0]
            file = "-".join(part for part in (kind["kind"], group, kind["version"]) if part)
            yield file, {"$ref": f"#/definitions/{name}", "definitions": _needed(name, definitions)}


def _custom() -> Iterator[tuple[str, dict[str, Any]]]:
    for module, files in _CUSTOM.items():
        for file in files:
            spec: dict[str, Any] = yaml.safe_load((_module(module) / file).read_text())["spec"]
            group = spec["group"].partition(".")[0]
            for version in spec["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                yield f"{spec['names']['kind']}-{group}-{version['name']}", _closed(schema)


def _closed(schema: Any) -> Any:  # noqa: ANN401  # any part of a schema
    """Forbid what isn't described, as a server does that validates strictly."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return _INT_OR_STRING
    closed = {name: _closed(part) for name, part in schema.items()}
    if isinstance(closed.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def _needed(name: str, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A definition and all that it refers to."""
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = definitions[each]
            waiting += _references(definitions[each])
    return found


def _references(schema: Any) -> Iterator[str]:  # noqa: ANN401  # any part of a schema
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from _references(part)


def _module(module: str) -> Path:
    return Path(json.loads(_go("mod", "download", "-json", module))["Dir"])


def _go(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    go = shutil.which("go")
    if go is None:
        pytest.fail(
            "The chart is judged by Helm and kubeconform, built by Go: apt-get install golang-go", pytrace=False
        )
    try:
        return _output(go, *arguments, env={**os.environ, "GOFLAGS": "-mod=mod", **(env or {})})
    except subprocess.CalledProcessError as error:
        pytest.fail(f"go {' '.join(arguments)}: {error.stderr[-2000:]}", pytrace=False)


def _output(*command: str, env: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_BUILD_TIMEOUT_S, env=env, cwd=Path.home()
    ).stdout
