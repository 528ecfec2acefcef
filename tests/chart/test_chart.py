"""The chart renders to what Kubernetes takes, what the bridge reads, and pods that pass a security review."""

from __future__ import annotations

import copy
import difflib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.settings import load
from tests.support.kubernetes import Tools, tools

pytestmark = pytest.mark.tools

_ROOT = Path(__file__).parents[2]
_CHART = _ROOT / "helm" / "ccaas-kafka-bridge"
_HERE = Path(__file__).parent
_GOLDEN = _HERE / "golden" / "defaults.yaml"
_CASES = sorted((_HERE / "values").glob("*.yaml"))
_SOFT_STOP_S = 10

_Objects = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def judge() -> Tools:
    """Helm, kubeconform and the schemas."""
    return tools()


@pytest.fixture(params=[None, *_CASES], ids=lambda path: path.stem if path else "defaults")
def values(request: pytest.FixtureRequest) -> Path | None:
    """The chart's defaults, and every file of values beside this one."""
    path: Path | None = request.param
    return path


def _objects(manifests: str) -> _Objects:
    """Manifests by kind, of several the first by name; the pod of ``helm test`` too."""
    found = sorted((each for each in yaml.safe_load_all(manifests) if each), key=lambda each: each["metadata"]["name"])
    return {each["kind"]: each for each in reversed(found)}


def _case(name: str) -> Path:
    return _HERE / "values" / f"{name}.yaml"


def _with(tmp_path: Path, changes: dict[str, Any], base: str = "minimal") -> Path:
    """A case with changed top-level values."""
    changed = tmp_path / "values.yaml"
    changed.write_text(yaml.safe_dump({**yaml.safe_load(_case(base).read_text()), **changes}))
    return changed


def _pods(objects: _Objects) -> list[dict[str, Any]]:
    return [objects["Deployment"]["spec"]["template"]["spec"], objects["Pod"]["spec"]]


def test_lint(judge: Tools, values: Path | None) -> None:
    """``helm lint --strict`` has nothing to say."""
    given = ["--values", str(values)] if values else []
    done = subprocess.run(
        [judge.helm, "lint", "--strict", str(_CHART), *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_kubernetes_takes_it(judge: Tools, values: Path | None) -> None:
    """Every field is one that Kubernetes, KEDA or the Prometheus operator knows, with a value of its type."""
    assert judge.faults(judge.render(_CHART, values)) == []


def test_kubernetes_schemas_can_refuse(judge: Tools) -> None:
    """A misspelt field and a wrong type are found: the judge is no yes-man."""
    manifests = judge.render(_CHART, _case("everything"))
    for sound, broken in (("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"), ("maxReplicas: 4", "maxReplicas: x")):
        assert sound in manifests
        assert judge.faults(manifests.replace(sound, broken))


def test_every_template_is_rendered_in_some_case(judge: Tools) -> None:
    """No template escapes the judges."""
    rendered = "".join(judge.render(_CHART, case) for case in _CASES)
    templates = {path.relative_to(_CHART / "templates") for path in (_CHART / "templates").rglob("*.yaml")}
    files = {"prometheusrule.yaml": "alerts.yaml", "dashboard.yaml": "dashboard.json"}
    for template in templates:
        file = files.get(template.name)
        if file is None or (_CHART / "files" / file).is_file():
            assert f"templates/{template}" in rendered


def test_defaults_are_as_recorded(judge: Tools) -> None:
    """What an upgrade changes for everybody is seen in review."""
    rendered = judge.render(_CHART)
    difference = "\n".join(difflib.unified_diff(_GOLDEN.read_text().splitlines(), rendered.splitlines(), lineterm=""))
    assert not difference, f"If this is meant: make golden\n{difference}"


@pytest.mark.parametrize("name", ["minimal", "everything", "open-secrets"])
def test_bridge_reads_its_configuration(judge: Tools, name: str, tmp_path: Path) -> None:
    """Every key that the chart passes on is one of the bridge's settings, and files are where they are mounted."""
    objects = _objects(judge.render(_CHART, _case(name)))
    holder = objects["Secret" if name == "open-secrets" else "ConfigMap"]
    text = (holder.get("data") or holder["stringData"])["bridge.yaml"]
    for mount in yaml.safe_load(_case(name).read_text()).get("secretMounts", ()):
        directory = tmp_path / mount["name"]
        directory.mkdir()
        for key in ("client_secret", "password", "url"):
            (directory / key).write_text("redis://redis")
        text = text.replace(f"/run/secrets/{mount['name']}", str(directory))
    (tmp_path / "ca.crt").write_text("")
    file = tmp_path / "bridge.yaml"
    file.write_text(text.replace("ssl.ca.location: /etc/kafka-ca/ca.crt", "client.id: bridge"))
    settings = load(file, {})
    assert settings.group == "wfm-bridge"
    assert settings.http.probes is not None


def test_pods_are_restricted(judge: Tools, values: Path | None) -> None:
    """Pod Security Standard "restricted", a read-only root, no token of the API server."""
    for pod in _pods(_objects(judge.render(_CHART, values))):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_helm_test_sees_what_the_workers_see(judge: Tools, values: Path | None) -> None:
    """``helm test`` checks every prerequisite with the same image, environment, files and identity."""
    worker, check = _pods(_objects(judge.render(_CHART, values)))
    assert check["containers"][0]["args"] == ["check", "-c", worker["containers"][0]["args"][2]]
    for part in ("image", "env", "envFrom", "volumeMounts"):
        assert check["containers"][0].get(part) == worker["containers"][0].get(part)
    assert check["volumes"] == worker["volumes"]
    assert check["serviceAccountName"] == worker["serviceAccountName"]


def test_pod_outlives_its_soft_stop(judge: Tools, values: Path | None) -> None:
    """The kubelet waits longer than the bridge takes; probes go to the listener that has no password."""
    pod = _pods(_objects(judge.render(_CHART, values)))[0]
    assert pod["terminationGracePeriodSeconds"] > _SOFT_STOP_S
    (container,) = pod["containers"]
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert {container[name]["httpGet"]["port"] for name in paths} == {"probes"}
    assert "probes" in {port["name"] for port in container["ports"]}


def test_selectors_meet_the_pods(judge: Tools, values: Path | None) -> None:
    """Deployment, Service, budget, policy and spread all mean the same pods, and not the test's."""
    objects = _objects(judge.render(_CHART, values))
    template = objects["Deployment"]["spec"]["template"]
    selectors = [objects["Deployment"]["spec"]["selector"]["matchLabels"], objects["Service"]["spec"]["selector"]]
    if "PodDisruptionBudget" in objects:
        selectors.append(objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
    if "NetworkPolicy" in objects:
        selectors.append(objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    spreads = template["spec"].get("topologySpreadConstraints", ())
    selectors += [spread["labelSelector"]["matchLabels"] for spread in spreads]
    for selector in selectors:
        assert selector.items() <= template["metadata"]["labels"].items()
        assert not selector.items() <= objects["Pod"]["metadata"]["labels"].items()


def test_configuration_change_rolls_the_workers(judge: Tools, tmp_path: Path) -> None:
    """The pod template changes with the configuration, and with nothing else."""

    def template(path: Path) -> Any:  # noqa: ANN401  # a part of a manifest
        return _objects(judge.render(_CHART, path))["Deployment"]["spec"]["template"]

    config = yaml.safe_load(_case("minimal").read_text())["config"]
    before = template(_case("minimal"))
    changed = copy.deepcopy(config)
    changed["streams"][0]["topic"] = "elsewhere"
    assert template(_with(tmp_path, {"config": changed})) != before
    assert template(_with(tmp_path, {"replicaCount": 5})) == before


@pytest.mark.parametrize(
    ("name", "kind", "least", "most"),
    [
        ("everything", "HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
        ("keda", "ScaledObject", "minReplicaCount", "maxReplicaCount"),
    ],
)
def test_autoscaling_stays_within_the_lanes(judge: Tools, name: str, kind: str, least: str, most: str) -> None:
    """A worker without a lane has nothing to do; replicas are the autoscaler's alone."""
    objects = _objects(judge.render(_CHART, _case(name)))
    lanes = yaml.safe_load(_case(name).read_text())["config"]["lanes"]
    spec = objects[kind]["spec"]
    assert spec[most] == lanes
    assert spec[least] <= spec[most]
    assert spec["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert "replicas" not in objects["Deployment"]["spec"]


def test_open_secrets_stay_out_of_config_maps(judge: Tools) -> None:
    """A configuration that holds a secret becomes a Secret; one that names files a ConfigMap."""
    manifests = judge.render(_CHART, _case("open-secrets"))
    objects = _objects(manifests)
    assert "ConfigMap" not in objects
    assert all(f"in-the-open-{number}" in objects["Secret"]["stringData"]["bridge.yaml"] for number in range(1, 6))
    volumes = {volume["name"]: volume for volume in _pods(objects)[0]["volumes"]}
    assert volumes["config"]["secret"]["secretName"] == objects["Secret"]["metadata"]["name"]
    assert "Secret" not in _objects(judge.render(_CHART, _case("everything")))


@pytest.mark.parametrize(
    "config",
    [
        {"kafka": {"client": {"sasl.password": "x"}}},
        {"kafka": {"client": {"ssl.key.pem": "x"}}},
        {"kafka": {"client": {"sasl.oauthbearer.client.secret": "x"}}},
        {"platforms": {"a": {"auth": {"client_secret": "x"}}}},
        {"platforms": {"a": {"auth": {"password": "x"}}}},
        {"platforms": {"a": {"auth": {"extra_parameters": {"assertion": "x"}}}}},
        {"platforms": {"a": {"headers": {"X-Api-Key": "x"}}}},
        {"redis": {"url": "rediss://user:x@redis"}},
        {"http": {"token": "x"}},
        {"http": {"read_token": "x"}},
    ],
    ids=str,
)
def test_each_place_of_a_secret_is_known(judge: Tools, tmp_path: Path, config: dict[str, Any]) -> None:
    """One secret in the open is enough."""
    assert "ConfigMap" not in _objects(judge.render(_CHART, _with(tmp_path, {"config": config})))


def test_management_is_served_only_where_it_listens_for_others(judge: Tools) -> None:
    """On loopback it has no port; else the Service has one, and the policy lets in whom it names."""
    closed, opened = (_objects(judge.render(_CHART, _case(name))) for name in ("minimal", "open-secrets"))
    assert [port["name"] for port in closed["Service"]["spec"]["ports"]] == ["probes"]
    assert [port["name"] for port in opened["Service"]["spec"]["ports"]] == ["probes", "management"]
    rules = opened["NetworkPolicy"]["spec"]["ingress"]
    assert rules[1]["ports"] == [{"port": "management", "protocol": "TCP"}]
    assert rules[1]["from"] == [{"podSelector": {"matchLabels": {"app": "operators"}}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"replicas": 3},
        {"replicaCount": "three"},
        {"image": {"repository": "x", "digest": "latest"}},
        {"terminationGracePeriodSeconds": 1},
        {"autoscaling": {"enabled": True}, "keda": {"enabled": True}},
        {"secretMounts": [{"name": "Upper_Case", "secretName": "x"}]},
        {"serviceMonitor": {"enabled": True, "interval": "often"}},
        {"config": {"lanes": 0}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(judge: Tools, tmp_path: Path, changes: dict[str, Any]) -> None:
    """``values.schema.json`` finds them before anything is installed."""
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        judge.render(_CHART, _with(tmp_path, changes))
    assert "values don't meet the specifications of the schema" in refusal.value.stderr


def test_names_stay_within_their_limits(judge: Tools) -> None:
    """The longest release name that Helm allows."""
    rendered = judge.render(_CHART, release="r" * 53)
    assert judge.faults(rendered) == []
    assert all(len(each["metadata"]["name"]) <= 63 for each in _objects(rendered).values())


def test_alerts_link_to_where_the_documents_are(judge: Tools) -> None:
    """Every runbook is a page under the URL that the values give."""
    rule = _objects(judge.render(_CHART, _case("everything")))["PrometheusRule"]
    runbooks = [each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"]]
    assert runbooks
    assert all(url.startswith("https://docs.example.com/when-things-go-wrong.md#") for url in runbooks)
