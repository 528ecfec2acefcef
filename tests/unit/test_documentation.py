"""The documentation's links lead somewhere, and its configurations load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.settings import load

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)#:]*)(?:#([^)]*))?\)")
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _anchors(page: Path) -> set[str]:
    """How headings are addressed: in lower case, hyphens for spaces, other signs left out."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file or folder of the project, and its heading is there."""
    for target, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target) if target else page
        assert file.exists(), f"{_name(page)}: {target}"
        assert not heading or heading in _anchors(file), f"{_name(page)}: {target}#{heading}"


def test_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    """With a secret where it says one is."""
    (found,) = _YAML.findall((_ROOT / "README.md").read_text(encoding="utf-8"))
    secret = tmp_path / "genesys"
    secret.write_text("s")
    file = tmp_path / "bridge.yaml"
    file.write_text(found.replace("/run/secrets/genesys", str(secret)))
    assert load(file, {}).streams[0].topic == "ccaas.events"


@pytest.mark.parametrize("block", _YAML.findall((_ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
def test_kafka_clients_of_the_security_page_load(block: str, tmp_path: Path) -> None:
    """Every property is one that librdkafka knows and the bridge lets pass."""
    rest = _YAML.findall((_ROOT / "README.md").read_text(encoding="utf-8"))[0].replace(
        'kafka: {bootstrap_servers: "127.0.0.1:9092"}\n', block
    )
    (tmp_path / "genesys").write_text("s")
    for name in ("password", "client_secret"):
        (tmp_path / name).write_text("s")
    # files of certificates are opened by the client itself; here they are left out
    text = re.sub(r"^ *ssl\.\S+\.location: .*\n", "", rest, flags=re.MULTILINE)
    file = tmp_path / "bridge.yaml"
    file.write_text(text.replace("/run/secrets/kafka", str(tmp_path)).replace("/run/secrets", str(tmp_path)))
    assert load(file, {}).kafka.client["security.protocol"] in {"SSL", "SASL_SSL"}
