"""The configuration: what is read from where, and that every fault is told, each with its path, and no secret."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.errors import ConfigurationError
from connector.settings import Settings, load

_SECRET = "hush-hush-71"
Writer = Callable[[object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes a configuration file: text as it is, anything else as YAML."""

    def writer(content: object) -> Path:
        path = tmp_path / "bridge.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return writer


def minimum() -> dict[str, Any]:
    """The least that is needed."""
    return {
        "group": "wfm-bridge",
        "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
        "platforms": {
            "genesys": {
                "kind": "genesys-sequence",
                "stream_url": "wss://p.example.com/stream/{channel}",
                "auth": {"token_url": "https://p.example.com/token", "client_id": "id", "client_secret": _SECRET},
            }
        },
        "streams": [{"name": "wfm", "platform": "genesys", "topic": "ccaas.events"}],
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """The minimum with one value set; numbers in the path are places in a list."""
    document = minimum()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    here: Any = document
    for part in parents:
        here = here[part] if isinstance(part, int) else here.setdefault(part, {})
    here[last] = value
    return document


def faults(path: Path | None, environ: dict[str, str] | None = None) -> dict[str, str]:
    """The faults that are told, by their path."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ or {})
    assert _SECRET not in str(caught.value)
    title, *lines = str(caught.value).splitlines()
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert title.split(": ")[-1] in (f"{len(lines)} faults", "1 fault")
    assert len(found) == len(lines), "a path is told twice"
    return found


def test_contract_minimum_loads(write: Writer) -> None:
    """The example of CONTRACT.md, word for word but for the dots."""
    settings = load(
        write("""
version: 1
group: wfm-bridge
kafka: {bootstrap_servers: "127.0.0.1:9092"}
lanes: 8
platforms:
  genesys:
    kind: genesys-sequence
    stream_url: wss://p.example.com/stream/{channel}
    snapshot_url: https://p.example.com/summary
    retention_seconds: 120
    auth: {grant: client_credentials, token_url: https://p.example.com/token, client_id: id, client_secret: s,
           refresh_buffer_seconds: 300}
streams:
  - {name: wfm, platform: genesys, topic: ccaas.events, start: earliest}
http: {listen: "127.0.0.1:8080"}
redis: {url: "redis://cache.example.com"}
"""),
        {},
    )
    assert settings.streams[0].start == "earliest"
    assert settings.streams[0].channel_name == "wfm"
    assert settings.platforms["genesys"].retention_seconds == 120
    assert settings.redis is not None


def test_defaults_are_the_contracts() -> None:
    """Each default that CONTRACT.md names."""
    settings = Settings(**minimum())
    platform, stream = settings.platforms["genesys"], settings.streams[0]
    assert (settings.version, settings.lanes, settings.http.listen, settings.redis) == (1, 8, "127.0.0.1:8080", None)
    assert settings.topics.model_dump() == {"create": True, "partitions": -1, "replication_factor": -1}
    assert settings.commit.model_dump() == {
        "linger_seconds": 0.002,
        "max_events": 5000,
        "max_bytes": 8388608,
        "max_per_second": 200,
    }
    assert settings.buffer.worker_bytes == 536870912
    assert settings.rotation.model_dump() == {"jitter_seconds": (0.05, 0.1), "max_parallel": 50}
    assert settings.network.model_dump() == {
        "backoff_seconds": 1,
        "backoff_max_seconds": 30,
        "breaker_failures": 5,
        "breaker_seconds": 30,
    }
    assert settings.membership.model_dump() == {
        "session_timeout_seconds": 6,
        "heartbeat_seconds": 0.3,
        "protocol": "classic",
    }
    assert platform.model_dump(exclude={"kind", "stream_url", "snapshot_url", "auth", "retention_seconds"}) == {
        "close_codes_expired": [1008, 4001],
        "handover": "overlap",
        "resume": "position",
        "contiguous": True,
        "expired_position": "head",
        "position": {"parameter": "sequenceId", "field": "/sequenceId"},
        "headers": {},
        "ping_seconds": 20,
        "silence_seconds": 60,
        "max_frame_bytes": 67108864,
        "idle_keepalive_seconds": None,
        "snapshot": {"max_wait_seconds": 300},
    }
    auth = platform.auth
    assert (auth.grant, auth.client_auth, auth.scopes, auth.reissue) == ("client_credentials", "basic", [], "keeps")
    assert auth.refresh_buffer_seconds == 300
    assert (stream.start, stream.on_gap, stream.type_prefix, stream.value) == ("latest", "snapshot", "", "raw")
    assert stream.key == ["/conversationId", "/userId", "/agentId", "/queueId"]
    assert (stream.type, stream.time) == ("/eventType", "/eventTime")
    assert stream.buffer.model_dump() == {"events": 5000, "bytes": 16777216}


def test_kind_presets_the_position_and_the_user_wins() -> None:
    """``nice-offset`` reads ``offset``; half a position keeps the other half of the preset."""
    document = changed("platforms/genesys/kind", "nice-offset")
    assert Settings(**document).platforms["genesys"].position.model_dump() == {
        "parameter": "offset",
        "field": "/offset",
    }
    document["platforms"]["genesys"]["position"] = {"field": "/at"}
    assert Settings(**document).platforms["genesys"].position.model_dump() == {"parameter": "offset", "field": "/at"}


def test_json_is_yaml(write: Writer) -> None:
    """A file in JSON loads as well."""
    assert load(write(json.dumps(minimum())), {}).group == "wfm-bridge"


def test_lane_is_crc32_of_the_name_modulo_lanes() -> None:
    """Frozen for ever: the numbers are the contract."""
    settings = Settings(**minimum())
    assert [settings.lane_of(name) for name in ("wfm", "s0", "s1")] == [
        zlib.crc32(b"wfm") % 8,
        zlib.crc32(b"s0") % 8,
        zlib.crc32(b"s1") % 8,
    ]
    assert (settings.lane_of("123456789"), settings.lane_of("Zürich")) == (
        0xCBF43926 % 8,
        zlib.crc32("Zürich".encode()) % 8,
    )


def test_on_gap_snapshot_continues_without_a_snapshot() -> None:
    """Documented: a platform without ``snapshot_url`` has none to fetch."""
    settings = Settings(**minimum())
    assert settings.on_gap(settings.streams[0]) == "continue"
    settings = Settings(**changed("platforms/genesys/snapshot_url", "https://p.example.com/summary"))
    assert settings.on_gap(settings.streams[0]) == "snapshot"


@pytest.mark.parametrize("start", ["earliest", "latest", 0, 4711, "4711"])
def test_start_takes_words_and_positions(start: object) -> None:
    """A position may come as text, since the environment has nothing else."""
    found = Settings(**changed("streams/0/start", start)).streams[0].start
    assert found == (int(start) if str(start).isdigit() else start)  # type: ignore[call-overload]  # an int or digits


# ---------------------------------------------------------------------- faults


def test_every_fault_is_told_at_once(write: Writer) -> None:
    """Of fields, of sections, between sections, of the environment: one message has all of them."""
    found = faults(
        write(
            {
                "gruop": "x",
                "kafka": {"bootstrap_servers": "nowhere:port", "client": {"group.id": "mine"}},
                "lanes": 0,
                "platforms": {
                    "genesys": {
                        "kind": "genesis",
                        "stream_url": "http://p.example.com/",
                        "ping_seconds": 90,
                        "auth": {"token_url": "p.example.com", "client_id": "id", "client_secret_file": "/nowhere/it"},
                    },
                },
                "streams": [
                    {"name": "wfm", "platform": "genesys", "topic": "no topic", "key": ["conversationId"]},
                    {"name": "wfm", "platform": "nice", "topic": "t", "start": -1, "nmae": 1},
                ],
            }
        ),
        {"CCAAS__COMMIT__MAX_EVENTS": "many", "CCAAS__KAFAK__X": "1"},
    )
    assert set(found) == {
        "gruop",
        "group",
        "kafka.bootstrap_servers",
        "kafka.client.group.id",
        "lanes",
        "platforms.genesys.kind",
        "platforms.genesys.stream_url",
        "platforms.genesys.ping_seconds",
        "platforms.genesys.auth.token_url",
        "platforms.genesys.auth.client_secret_file",
        "streams.0.topic",
        "streams.0.key.0",
        "streams.1.name",
        "streams.1.platform",
        "streams.1.start",
        "streams.1.nmae",
        "commit.max_events",
        "CCAAS__KAFAK__X",
    }
    assert "did you mean group?" in found["gruop"]
    assert "CCAAS__COMMIT__MAX_EVENTS" in found["commit.max_events"]
    assert "/nowhere/it" in found["platforms.genesys.auth.client_secret_file"]


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("version", 2, "version 1"),
        ("version", True, "not a boolean"),
        ("lanes", True, "not a boolean"),
        ("commit/linger_seconds", False, "not a boolean"),
        ("group", "a b", "pattern"),
        ("lanes", 10_001, "less than or equal to 10000"),
        ("streams", [], "empty"),
        ("streams/0/platform", "nice", "genesys"),
        ("streams/0/topic", "wfm-bridge.checkpoints", "bridge itself"),
        ("streams/0/topic", "..", "legal topic name"),
        ("streams/0/topic", "t" * 250, "legal topic name"),
        ("streams/0/name", "$lanes", "name"),
        ("streams/0/name", "a/b", "name"),
        ("streams/0/start", "snapshot", "platforms.genesys.snapshot_url"),
        ("streams/0/start", "soon", "earliest, latest, snapshot or a position"),
        ("streams/0/start", True, "earliest, latest, snapshot or a position"),
        ("streams/0/start", 1.5, "earliest, latest, snapshot or a position"),
        ("streams/0/start", 2**63, "earliest, latest, snapshot or a position"),
        ("streams/0/time", "/a~2", "JSON pointer"),
        ("streams/0/type", "", "into the event"),
        ("streams/0/type_prefix", "ä", "pattern"),
        ("streams/0/on_gap", "weep", "'stop'"),
        ("streams/0/value", "avro", "'raw'"),
        ("streams/0/buffer/bytes", 600_000_000, "buffer.worker_bytes"),
        ("streams/0/buffer/events", 0, "greater than or equal to 1"),
        ("streams/0/routes", [{"match": {"event_type": "agent.[a"}, "topic": "t"}], "glob"),
        ("streams/0/routes", [{"match": {"event_type": "agent.*"}, "topic": "wfm-bridge.gaps"}], "bridge itself"),
        ("platforms/genesys/stream_url", "wss://p.example.com/{stream}", "{channel}"),
        ("platforms/genesys/stream_url", "wss://{channel}.example.com/", "in the path or the query"),
        ("platforms/genesys/stream_url", f"wss://me:{_SECRET}@p.example.com/", "no user or password"),
        ("platforms/genesys/stream_url", "wss://p.example.com:99999/", "valid host and port"),
        ("platforms/genesys/stream_url", "wss:///x", "has a host"),
        ("platforms/genesys/snapshot_url", "ftp://p.example.com/", "https:// or http://"),
        ("platforms/genesys/expired_position", "gone", "HTTP status"),
        ("platforms/genesys/expired_position", 200, "HTTP status"),
        ("platforms/genesys/close_codes_expired", [999], "close code"),
        ("platforms/genesys/headers", {"Authorization": _SECRET}, "set by the bridge"),
        ("platforms/genesys/headers", {"X-Key": f"{_SECRET}\nX-Other: 1"}, "control character"),
        ("platforms/genesys/headers", {"X Key": _SECRET}, "not a header name"),
        ("platforms/genesys/auth/client_secret", "", "empty"),
        ("platforms/genesys/auth/client_secret", [_SECRET], "string"),
        ("platforms/genesys/auth/refresh_buffer_seconds", 0, "greater than 0"),
        ("platforms/genesys/auth/scopes", ["a b"], "pattern"),
        ("platforms/genesys/retention_seconds", float("inf"), "finite"),
        ("kafka/bootstrap_servers", "a:1,,b:2", "HOST:PORT"),
        ("kafka/client", {"sasl.password": [_SECRET]}, "a string, a number or a boolean"),
        ("kafka/client", {"error_cb": "x"}, "callbacks"),
        ("topics/partitions", 0, "at least 1, or -1"),
        ("rotation/jitter_seconds", [0.2, 0.1], "the smaller first"),
        ("network/backoff_seconds", 31, "at most backoff_max_seconds"),
        ("membership/heartbeat_seconds", 3, "a third"),
        ("http/listen", "8080", "HOST:PORT"),
        ("http/listen", "127.0.0.1:99999", "HOST:PORT"),
        ("http/probes", "127.0.0.1:8080", "same as listen"),
        ("redis/url", f"http://:{_SECRET}@r.example.com", "rediss:// or redis://"),
    ],
)
def test_one_fault_is_told_once_with_its_path(write: Writer, path: str, value: object, fault: str) -> None:
    """Whatever is wrong with one key, one line has its path and what would be right."""
    found = faults(write(changed(path, value)))
    ((where, message),) = found.items()
    assert where.startswith(path.replace("/", "."))
    assert fault in message


@pytest.mark.parametrize(
    "name",
    [
        "transactional.id",
        "enable.idempotence",
        "group.id",
        "isolation.level",
        "partitioner",
        "enable.auto.commit",
        "retry.backoff.ms",
        "bootstrap.servers",
        "message.max.bytes",
    ],
)
def test_properties_of_the_bridge_are_refused_with_a_reason(write: Writer, name: str) -> None:
    """What exactly-once delivery depends on is not the user's to set."""
    found = faults(write(changed("kafka/client", {name: "x", "compression.type": "zstd"})))
    assert list(found) == [f"kafka.client.{name}"]
    assert "belongs to the bridge: " in found[f"kafka.client.{name}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("group: [a\nlanes: 8\n", "line 2, column 6: not valid YAML"),
        ("group: a\n\tlanes: 8\n", "line 2, column 1: not valid YAML"),
        (f"group: *{_SECRET}", "line 1, column 8: not valid YAML"),
        (f"group: !{_SECRET} x", "line 1, column 8: not valid YAML"),
        ("group: a\ngroup: b\n", "line 2, column 1: not valid YAML: the key group comes twice"),
        ("- group\n", "should be a mapping"),
        ("group: 2024-13-45", "not valid YAML"),
        ("group: \x01", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_bad_yaml_is_told_with_its_line(write: Writer, text: str, fault: str) -> None:
    """And without the line's content, which may be a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load(write(text), {})
    assert fault in str(caught.value)
    assert "bridge.yaml: " in str(caught.value)
    assert _SECRET not in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a directory, not text: a message with the path, no traceback."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, fault in ((tmp_path / "no.yaml", "No such file"), (tmp_path, "directory"), (binary, "UTF-8")):
        with pytest.raises(ConfigurationError, match=fault) as caught:
            load(path, {})
        assert str(path) in str(caught.value)


def test_empty_file_lacks_what_is_required(write: Writer) -> None:
    """An empty file is an empty mapping."""
    assert set(faults(write(""))) == {"group", "kafka", "platforms", "streams"}


def test_similar_platform_names_clash_in_the_environment(write: Writer) -> None:
    """``genesys-eu`` and ``genesys.EU`` are both GENESYS_EU there."""
    document = minimum()
    for name in ("genesys-eu", "genesys.EU"):
        document["platforms"][name] = minimum()["platforms"]["genesys"]
    found = faults(write(document))
    assert list(found) == ["platforms.genesys.EU"]
    assert found["platforms.genesys.EU"].endswith("genesys-eu")


def test_no_platforms(write: Writer) -> None:
    """The mapping and what refers to it are both told."""
    assert faults(write({**minimum(), "platforms": {}})) == {
        "platforms": "should not be empty",
        "streams.0.platform": "is not among the platforms: none",
    }
