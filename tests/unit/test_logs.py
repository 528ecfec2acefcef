"""Logs: one line an event, the same shape from structlog and from the standard library, nothing secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from connector.logs import configure_logs, redact

_SECRET = "hush-hush-71"
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3NzIzNTI5MzB9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for name in ("aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_lines_with_utc_times(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a terminal: JSON without being told; the common fields come first."""
    configure_logs("info")
    structlog.get_logger("connector.stream").info("rotation done", stream="wfm", overlap_s=0.2, how=None)
    text = capsys.readouterr().err
    line = json.loads(text)
    assert list(line) == ["timestamp", "level", "logger", "event", "stream", "overlap_s", "how"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["logger"], line["event"]) == ("info", "connector.stream", "rotation done")


def test_standard_library_takes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Of aiohttp and its like; with arguments and extra fields."""
    configure_logs("info", json=True)
    logging.getLogger("aiohttp.server").error("cannot %s", "serve", extra={"peer": "127.0.0.1"})
    structlog.get_logger("connector.kafka").warning("lane %d: %s", 3, "blocked")
    first, second = _lines(capsys)
    assert (first["event"], first["logger"], first["level"], first["peer"]) == (
        "cannot serve",
        "aiohttp.server",
        "error",
        "127.0.0.1",
    )
    assert second["event"] == "lane 3: blocked"


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the level nothing is written; an access line each probe would drown the rest."""
    configure_logs("INFO", json=True)
    structlog.get_logger("a").debug("no")
    logging.getLogger("b").debug("no")
    logging.getLogger("aiohttp.access").info("GET /health/live")
    structlog.get_logger("a").info("yes")
    assert [line["event"] for line in _lines(capsys)] == ["yes"]
    with pytest.raises(ValueError, match="no such log level"):
        configure_logs("loud")


def test_configured_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The later configuration wins."""
    configure_logs("info", json=True)
    configure_logs("info", json=True)
    structlog.get_logger("a").info("once")
    assert len(_lines(capsys)) == 1


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """On request also without a terminal; then without colours."""
    configure_logs("info", json=False)
    structlog.get_logger("connector.stream").info("rotation done", stream="wfm", client_secret=_SECRET)
    text = capsys.readouterr().err
    assert "rotation done" in text
    assert "stream=wfm" in text
    assert "\x1b" not in text
    assert _SECRET not in text


def _fail() -> None:
    raise ValueError("refused: client_secret=" + _SECRET)


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_are_cleaned(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """Of both kinds of logger; an exception's message may repeat what it was given."""
    configure_logs("info", json=as_json)
    for logger in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            _fail()
        except ValueError:
            logger.exception("failed")
    text = capsys.readouterr().err
    assert text.count("ValueError: refused: client_secret=***") == 2
    assert _SECRET not in text


@pytest.mark.parametrize(
    "key",
    [
        "Authorization",
        "token",
        "access_token",
        "refresh_token",
        "client_secret",
        "password",
        "sasl.password",
        "assertion",
        "X-Api-Key",
        "Set-Cookie",
        "private_key",
        "redis_password",
        "jwt",
    ],
)
def test_values_under_secret_keys_are_hidden(key: str) -> None:
    """At any depth."""
    fields = redact(None, "info", {"event": "x", key: _SECRET, "deep": [{"headers": {key: _SECRET}}]})
    assert fields[key] == "***"
    assert _SECRET not in str(fields)


@pytest.mark.parametrize(
    "key", ["token_seconds_left", "generation", "tokens", "client_id", "token_url", "position", "key"]
)
def test_harmless_keys_stay(key: str) -> None:
    """What tells the story of a rotation must be readable."""
    assert redact(None, "info", {key: "plain"})[key] == "plain"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"sent Authorization: Bearer {_SECRET}", "sent Authorization: Bearer ***"),
        ("basic Zm9vOmJhcg==", "basic ***"),
        (f"token {_JWT} is dead", "token *** is dead"),
        (f"grant_type=x&client_secret={_SECRET}&scope=a", "grant_type=x&client_secret=***&scope=a"),
        (f'{{"access_token": "{_SECRET}", "expires_in": 3}}', '{"access_token": "***", "expires_in": 3}'),
        (f"redis://me:{_SECRET}@r.example.com:6379/0", "redis://***@r.example.com:6379/0"),
        ("wss://p.example.com/stream/a@b", "wss://p.example.com/stream/a@b"),
        ("a basic fault", "a basic fault"),
    ],
)
def test_secrets_inside_text_are_hidden(text: str, cleaned: str) -> None:
    """In the event, in fields, in bytes, in exceptions."""
    fields = redact(None, "info", {"event": text, "list": [text], "error": ValueError(text), "body": text.encode()})
    assert fields["event"] == cleaned
    assert fields["list"] == [cleaned]
    assert (_SECRET in str(fields)) is (_SECRET in cleaned)


def test_what_json_cannot_say_becomes_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A log line never fails for the type of a field."""
    configure_logs("info", json=True)
    structlog.get_logger("a").info("odd", thing={1, 2}, kind=ValueError("x"), number={3: "a"})
    (line,) = _lines(capsys)
    assert (line["thing"], line["number"]) == ("{1, 2}", {"3": "a"})
