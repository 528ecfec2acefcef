"""Whatever comes from outside, parsers neither crash nor lose: frames, token answers, checkpoints, configurations.

Each takes noise, and sound input that is cut, swapped and stained. ``FUZZ_EXAMPLES=250000`` makes a night of it.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.auth.answers import HttpAnswer, read_grant, read_token_endpoint, refusal
from connector.core.checkpoint import decode, encode
from connector.core.frames import Event, FrameReader
from connector.core.token_clock import Grant
from connector.errors import CheckpointVersionError, ConfigurationError, TokenError
from connector.model import Checkpoint, DeadLetterId
from connector.settings import Settings, load

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
fuzz = settings(max_examples=EXAMPLES, deadline=None)

_SECRET = "s3cr3t-0f-the-b4nk"
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_pieces = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"\x00",
        b"\xff",
        b"NaN",
        b"1e999",
        b"-",
        b"null",
        b"\xed\xa0\x80",
    ]
)


def _as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


@st.composite
def _stained(draw: st.DrawFn, sound: st.SearchStrategy[bytes]) -> bytes:
    """Sound bytes with some cut out and others put in; or none of it."""
    whole = draw(sound)
    begin = draw(st.integers(0, len(whole)))
    end = draw(st.integers(begin, min(len(whole), begin + 8)))
    return whole[:begin] + draw(_pieces | st.binary(max_size=4)) + whole[end:]


_event = st.builds(
    lambda position, rest: {**rest, "sequenceId": position},
    st.integers(-2, 2**70) | _json,
    st.dictionaries(st.text(max_size=8), _json, max_size=4),
)
_frame = st.one_of(
    st.binary(), _json.map(_as_json), _stained(st.lists(_event, max_size=4).map(_as_json) | _event.map(_as_json))
)


@fuzz
@given(_frame)
def test_frame_is_read_whole_whatever_it_is(frame: bytes) -> None:
    """No frame raises; each item is a piece of the frame, in order, and what is between them is no content."""
    at = 0
    for item in FrameReader("/sequenceId").read(frame):
        begin = frame.index(item.raw, at)
        assert not frame[at:begin].strip(b" \t\r\n[,")
        at = begin + len(item.raw)
        if isinstance(item, Event):
            assert orjson.loads(item.raw) == item.document
            assert item.position > 0
    assert not frame[at:].strip(b" \t\r\n],[")


@fuzz
@given(st.lists(_event, min_size=1, max_size=5), st.data())
def test_one_bad_element_takes_no_other_with_it(events: list[dict[str, Any]], data: st.DataObject) -> None:
    """An element that no parser takes leaves its neighbours as they were."""
    sound = [_as_json(event) for event in events]
    at = data.draw(st.integers(0, len(sound)))
    bad = data.draw(
        st.sampled_from([b"NaN", b'{"sequenceId":NaN}', b'{"a":\xff}', b"tru", b'"\\q"', b"[" * 2000 + b"]" * 2000])
    )
    elements = [*sound[:at], bad, *sound[at:]]
    items = FrameReader("/sequenceId").read(b"[" + b" , ".join(elements) + b"]")
    assert [item.raw for item in items] == elements


_header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
_headers = st.dictionaries(st.sampled_from(["Date", "Age", "Retry-After", "Location"]), _header_text)
_claims = st.fixed_dictionaries({}, optional={"exp": _json, "iat": _json})


def _jwt(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(_as_json(claims)).decode().rstrip('=')}.c2ln"


_token_body = st.fixed_dictionaries(
    {},
    optional={"access_token": _json | _claims.map(_jwt), "expires_in": _json, "token_endpoint": _json, "error": _json},
).map(_as_json)


@st.composite
def _answers(draw: st.DrawFn) -> HttpAnswer:
    body = draw(st.binary() | _json.map(_as_json) | _token_body | _stained(_token_body))
    status = draw(st.integers(200, 599))
    return HttpAnswer("https://login.example.com/token", "auth.token_url", status, draw(_headers), body, 1000.0)


@fuzz
@given(_answers())
def test_token_answer_is_a_token_or_a_named_error(answer: HttpAnswer) -> None:
    """Every answer is one or the other, and a token can be sent in a header."""
    for read in (read_grant, read_token_endpoint):
        try:
            found: Grant | str | TokenError = read(answer)
        except TokenError as refused:
            found = refused
        text = found.token if isinstance(found, Grant) else str(found)
        assert text.isprintable()
        assert text.isascii() or isinstance(found, TokenError)


@fuzz
@given(_answers(), st.booleans())
def test_refusal_never_repeats_a_secret(answer: HttpAnswer, named: bool) -> None:  # noqa: FBT001  # Hypothesis gives it
    """Whatever an error answer says, and even if it says our secret back."""
    body = orjson.dumps({"error": "invalid_client", "error_description": f"bad {_SECRET}"}) if named else answer.body
    told = HttpAnswer(answer.url, answer.setting, answer.status, answer.headers, body, answer.sent_at_s)
    error = refusal(told, {}, (_SECRET,))
    assert _SECRET not in str(error)
    assert error.retry_after_s is None or error.retry_after_s >= 0


_positions = st.none() | st.integers(0, 2**63 - 1)
_checkpoints = st.builds(
    Checkpoint,
    stream=st.text(min_size=1),
    epoch=st.integers(0, 2**31),
    position=_positions,
    event_time_ms=st.none() | st.integers(0, 253_402_300_799_999),
    complete_until_ms=st.none() | st.integers(0, 253_402_300_799_999),
    offsets=st.dictionaries(st.text(min_size=1), st.dictionaries(st.integers(0, 10_000), st.integers(0, 2**60))),
    dead_letters=st.lists(st.builds(DeadLetterId, st.integers(1, 2**31), st.text())).map(tuple),
    snapshot_id=st.none() | st.text(min_size=1),
    snapshot_records=st.integers(0, 2**31),
    stopped=st.booleans(),
    command_id=st.none() | st.text(),
)


def _value(checkpoint: Checkpoint) -> bytes:
    return encode(checkpoint, "worker", 1_772_352_930_123)


@fuzz
@given(_checkpoints)
def test_checkpoint_comes_back_as_it_was(checkpoint: Checkpoint) -> None:
    """Nothing of it is lost in Kafka."""
    assert decode(_value(checkpoint)) == checkpoint


@fuzz
@given(st.binary() | _json.map(_as_json) | _stained(_checkpoints.map(_value)))
def test_what_is_no_checkpoint_is_refused(value: bytes) -> None:
    """Read, or refused with one of the errors that refuse the lane; nothing else may end its thread."""
    try:
        decode(value)
    except (CheckpointVersionError, ValueError, TypeError, KeyError, AttributeError):
        return


_MINIMUM = {
    "group": "g",
    "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
    "platforms": {
        "p": {
            "kind": "genesys-sequence",
            "stream_url": "wss://example.com/{channel}",
            "auth": {"token_url": "https://example.com/token", "client_id": "c", "client_secret": _SECRET},
        }
    },
    "streams": [{"name": "s", "platform": "p", "topic": "t"}],
}


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    """A configuration with one value, anywhere, changed to something else, or with a key that is new."""
    document = orjson.loads(orjson.dumps(_MINIMUM))
    here: Any = document
    while True:
        key = draw(st.sampled_from([*(here if isinstance(here, dict) else range(len(here))), "new"]))
        key = 0 if key == "new" and isinstance(here, list) else key
        inner = here.get(key) if isinstance(here, dict) else here[key]
        if not isinstance(inner, dict | list) or draw(st.booleans()):
            here[key] = draw(_json)
            return _as_json(document)
        here = inner


@pytest.fixture(scope="module")
def file() -> Any:  # noqa: ANN401  # a generator of a path
    """One file for all examples."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "bridge.yaml"


def _load(file: Path, content: bytes) -> Settings | ConfigurationError:
    """The settings, or the one error for the user; any other exception is a fault."""
    file.write_bytes(content)
    try:
        return load(file, {})
    except ConfigurationError as refused:
        return refused


files = settings(max_examples=max(50, EXAMPLES // 5), deadline=None)


@files
@given(_documents())
def test_configuration_is_taken_or_refused_without_its_secret(file: Path, content: bytes) -> None:
    """One value is wrong, anywhere, or one key: no value of a secret is in what is said."""
    found = _load(file, content)
    assert _SECRET not in repr(found)
    assert _SECRET not in str(found)


@files
@given(_stained(st.just(_as_json(_MINIMUM))) | st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_file_that_is_no_configuration_is_refused(file: Path, content: bytes) -> None:
    """Noise, or a file with something cut out of it."""
    _load(file, content)
