"""The configuration: what is read from where, and that every fault is told, each with its path, and no secret."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.settings import SequenceSettings, Settings, load

SECRET = "hush-hush-71"
Writer = Callable[[object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes a configuration file: text as it is, anything else as YAML."""

    def writer(content: object) -> Path:
        path = tmp_path / "bridge.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return writer


def sequence(settings: Settings, name: str) -> SequenceSettings:
    """A platform whose events carry positions."""
    platform = settings.platforms[name]
    assert isinstance(platform, SequenceSettings)
    return platform


def minimum() -> dict[str, Any]:
    """The least that is needed."""
    return {
        "group": "wfm-bridge",
        "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
        "platforms": {
            "genesys": {
                "kind": "genesys-sequence",
                "stream_url": "wss://p.example.com/stream/{channel}",
                "auth": {"token_url": "https://p.example.com/token", "client_id": "id", "client_secret": SECRET},
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
    assert sequence(settings, "genesys").retention_seconds == 120
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
        "proxy": None,
        "proxy_file": None,
        "tls": {"ca_file": None, "certificate_file": None, "key_file": None},
        "compression": False,
        "resume": "position",
        "contiguous": True,
        "expired_position": "head",
        "position": {"parameter": "sequenceId", "field": "/sequenceId"},
        "traceparent": None,
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
    assert sequence(Settings(**document), "genesys").position.model_dump() == {
        "parameter": "offset",
        "field": "/offset",
    }
    document["platforms"]["genesys"]["position"] = {"field": "/at"}
    assert sequence(Settings(**document), "genesys").position.model_dump() == {"parameter": "offset", "field": "/at"}


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
