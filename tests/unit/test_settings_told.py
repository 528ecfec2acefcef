"""What the configuration tells: warnings about risks, and the reference page."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from connector.settings import Settings, load, warnings
from connector.settings_reference import page
from tests.unit.test_settings import SECRET, changed

KEY = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        ("platforms/genesys/stream_url", "ws://p.example.com/{channel}", "platforms.genesys.stream_url: ws:// off"),
        ("platforms/genesys/snapshot_url", "http://p.example.com/", "platforms.genesys.snapshot_url: http:// off"),
        ("platforms/genesys/auth/token_url", "http://10.0.0.1/", "platforms.genesys.auth.token_url: http:// off"),
        ("redis", {"url": f"redis://:{SECRET}@r.example.com", "encryption_key": KEY}, "redis.url: redis:// off"),
        ("redis", {"url": f"rediss://:{SECRET}@r.example.com"}, "redis: without encryption_key"),
        (
            "http",
            {"listen": "0.0.0.0:8080", "token": f"{SECRET}-and-more"},
            "http.listen: off loopback without http.tls",
        ),
        ("http", {"probes": "[::]:8081"}, "http.probes: is not on loopback"),
        ("kafka/client", {"enable.ssl.certificate.verification": False}, "anyone can pose as a broker"),
    ],
)
def test_risks_are_told(path: str, value: object, warning: str) -> None:
    """One line each, without secrets."""
    (told,) = warnings(Settings(**changed(path, value)))
    assert warning in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("platforms/genesys/stream_url", "ws://127.0.0.1:8900/stream/{channel}"),
        ("platforms/genesys/stream_url", "ws://[::1]:8900/stream/{channel}"),
        ("platforms/genesys/auth/token_url", "http://localhost:8900/token"),
        ("redis", {"url": "redis://127.0.0.2", "encryption_key": KEY}),
        ("http", {"listen": "[::1]:8080"}),
    ],
)
def test_loopback_is_no_risk(path: str, value: object) -> None:
    """Nobody else hears it."""
    assert warnings(Settings(**changed(path, value))) == []


def test_reference_page_is_up_to_date() -> None:
    """Mend it with ``python -m connector.settings_reference > docs/configuration.md``."""
    kept = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert kept == page()


def test_reference_example_loads(tmp_path: Path) -> None:
    """The page's own minimal file, with a secret at hand."""
    text = re.findall(r"```yaml\n(.*?)```", page(), flags=re.DOTALL)[0]
    path = tmp_path / "bridge.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path, {"CCAAS__PLATFORMS__GENESYS__AUTH__CLIENT_SECRET": "x"}).streams[0].name == "wfm"


def test_every_key_is_described_on_the_page() -> None:
    """A value has a row with its description, a section a table."""
    text = page()
    for path, model in _sections(Settings, ""):
        for name, info in model.model_fields.items():
            assert info.description, f"{path}{name} has no description"
            inner = list(_inner(info.annotation))
            assert f"| `{name}` | " in text or (
                inner and re.search(rf"^## `[^`]*\b{name}\b[^`]*`", text, flags=re.MULTILINE)
            )
            for section in inner:
                assert (section.__doc__ or "?").splitlines()[0] in text


def _inner(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inner(part)


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, info in model.model_fields.items():
        for part in _inner(info.annotation):
            yield from _sections(part, f"{path}{name}.")
