"""Faults of the configuration: all of them are told at once, each with its path, none with a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connector.errors import ConfigurationError
from connector.settings import load
from tests.unit.test_settings import SECRET, Writer, changed, minimum


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes a configuration file: text as it is, anything else as YAML."""

    def writer(content: object) -> Path:
        path = tmp_path / "bridge.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return writer


def faults(path: Path | None, environ: dict[str, str] | None = None) -> dict[str, str]:
    """The faults that are told, by their path."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ or {})
    assert SECRET not in str(caught.value)
    title, *lines = str(caught.value).splitlines()
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert title.split(": ")[-1] in (f"{len(lines)} faults", "1 fault")
    assert len(found) == len(lines), "a path is told twice"
    return found


def test_topic_that_is_no_text_is_one_fault(write: Writer) -> None:
    """A list where a name belongs: told, not tripped over."""
    assert set(faults(write(changed("streams/0/topic", [])))) == {"streams.0.topic"}


def test_what_is_redacted_is_no_key(write: Writer) -> None:
    """A key would keep what the value loses; told for the stream's own pointers and for a route's."""
    stream = {"name": "wfm", "platform": "genesys", "topic": "t", "key": ["/caller/number", "/queueId"]}
    route = {"match": {"event_type": "*"}, "topic": "u"}
    taken = {**stream, "redact": ["/call", "/caller"], "routes": [{**route, "redact": ["/caller/number"]}]}
    found = faults(write(changed("streams", [taken])))
    assert set(found) == {"streams.0.redact.1", "streams.0.routes.0.redact.0"}
    sound = {**stream, "redact": ["/caller/name"], "routes": [{**route, "drop": True}]}
    assert load(write(changed("streams", [sound])), {}).streams[0].routes[0].drop


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
        ("streams/0/value", "xml", "'raw'"),
        ("streams/0/value", "avro", "needs schema_registry"),
        ("streams/0/buffer/bytes", 600_000_000, "buffer.worker_bytes"),
        ("streams/0/buffer/events", 0, "greater than or equal to 1"),
        ("streams/0/routes", [{"match": {"event_type": "agent.[a"}, "topic": "t"}], "glob"),
        ("streams/0/routes", [{"match": {"event_type": "agent.*"}, "topic": "wfm-bridge.gaps"}], "bridge itself"),
        ("platforms/genesys/stream_url", "wss://p.example.com/{stream}", "{channel}"),
        ("platforms/genesys/stream_url", "wss://{channel}.example.com/", "in the path or the query"),
        ("platforms/genesys/stream_url", f"wss://me:{SECRET}@p.example.com/", "no user or password"),
        ("platforms/genesys/stream_url", "wss://p.example.com:99999/", "valid host and port"),
        ("platforms/genesys/stream_url", "wss:///x", "has a host"),
        ("platforms/genesys/snapshot_url", "ftp://p.example.com/", "https:// or http://"),
        ("platforms/genesys/expired_position", "gone", "HTTP status"),
        ("platforms/genesys/expired_position", 200, "HTTP status"),
        ("platforms/genesys/close_codes_expired", [999], "close code"),
        ("platforms/genesys/headers", {"Authorization": SECRET}, "set by the bridge"),
        ("platforms/genesys/headers", {"X-Key": f"{SECRET}\nX-Other: 1"}, "control character"),
        ("platforms/genesys/headers", {"X Key": SECRET}, "not a header name"),
        ("platforms/genesys/proxy", f"socks5://me:{SECRET}@proxy:1080", "http:// or https://"),
        ("platforms/genesys/proxy", f"http://me:{SECRET}@proxy:1080/{SECRET}", "without a path"),
        ("platforms/genesys/tls/ca_file", "/nowhere", "No such file"),
        ("platforms/genesys/tls/ca_file", __file__, "not a usable PEM file"),
        ("platforms/genesys/tls/certificate_file", __file__, "not a usable PEM file"),
        ("platforms/genesys/auth/client_secret", "", "empty"),
        ("platforms/genesys/auth/client_secret", [SECRET], "string"),
        ("platforms/genesys/auth/refresh_buffer_seconds", 0, "greater than 0"),
        ("platforms/genesys/auth/scopes", ["a b"], "pattern"),
        ("platforms/genesys/retention_seconds", float("inf"), "less than or equal"),
        ("kafka/bootstrap_servers", "a:1,,b:2", "HOST:PORT"),
        ("kafka/client", {"sasl.password": [SECRET]}, "a string, a number or a boolean"),
        ("kafka/client", {"error_cb": "x"}, "callbacks"),
        ("kafka/client", {"sasl.mechansim": "PLAIN"}, "No such configuration property"),
        ("kafka/client", {"security.protocol": SECRET}, "Invalid value for configuration property"),
        ("kafka/client", {"socket.timeout.ms": 1}, "value is outside allowed range 10..300000"),
        ("kafka/client", {"security.protocol": "SSL", "ssl.ca.location": "/nowhere"}, "ssl.ca.location failed"),
        ("kafka/client", {"security.protocol": "SSL", "ssl.key.pem": SECRET}, "ssl.key.pem failed"),
        (
            "kafka/client",
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"},
            "sasl.username and sasl.passwor",
        ),
        ("topics/partitions", 0, "at least 1, or -1"),
        ("rotation/jitter_seconds", [0.2, 0.1], "the smaller first"),
        ("network/backoff_seconds", 31, "at most backoff_max_seconds"),
        ("membership/heartbeat_seconds", 3, "a third"),
        ("http/listen", "8080", "HOST:PORT"),
        ("http/listen", "127.0.0.1:99999", "HOST:PORT"),
        ("http/probes", "127.0.0.1:8080", "same as listen"),
        ("http/token", "short", "at least 16"),
        ("http/token", f"{SECRET} with blanks", "without blanks"),
        ("http/read_token_file", "/nowhere/at/all", "cannot be read"),
        ("redis/url", f"http://:{SECRET}@r.example.com", "rediss:// or redis://"),
        ("redis/url", f"redis://r.example.com?password={SECRET}", "no query"),
        ("redis", {"url": f"redis://:{SECRET}@r.example.com", "password": SECRET}, "url has a password too"),
        ("redis", {"url": "redis://r.example.com", "ca_file": __file__}, "begins with rediss://"),
        ("redis", {"url": "rediss://r.example.com", "ca_file": __file__}, "no certificates in PEM form"),
        ("redis", {"url": "rediss://r.example.com", "ca_file": "/nowhere"}, "cannot be read: No such file"),
        ("redis", {"url": "rediss://r.example.com", "encryption_key": SECRET}, "32 random bytes in Base64"),
        ("redis", {"url": "rediss://r.example.com", "encryption_key": "c2hvcnQ="}, "32 random bytes in Base64"),
    ],
)
def test_one_fault_is_told_once_with_its_path(write: Writer, path: str, value: object, fault: str) -> None:
    """Whatever is wrong with one key, one line has its path and what would be right."""
    found = faults(write(changed(path, value)))
    ((where, message),) = found.items()
    assert where.startswith(path.replace("/", "."))
    assert fault in message


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "bridge.example.com:8080", "10.0.0.7:1"])
def test_off_loopback_something_must_guard_the_listener(write: Writer, listen: str) -> None:
    """A token, of either kind, or certificates; the fault says which, and where metrics can go."""
    told = faults(write(changed("http", {"listen": listen})))
    assert "http.probes" in told["http.token"]
    for guard in (
        {"token": f"{SECRET}-and-more"},
        {"read_token": f"{SECRET}-and-more"},
        {"tls": {"certificate_file": "c", "key_file": "k", "client_ca_file": "a"}},
    ):
        load(write(changed("http", {"listen": listen, **guard})), {})
    assert "http.token" in faults(
        write(changed("http", {"listen": listen, "tls": {"certificate_file": "c", "key_file": "k"}}))
    )


def test_two_roles_two_tokens(write: Writer) -> None:
    """One token for both would make every reader an operator."""
    told = faults(write(changed("http", {"token": f"{SECRET}-and-more", "read_token": f"{SECRET}-and-more"})))
    assert list(told) == ["http.read_token"]


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
        (f"group: *{SECRET}", "line 1, column 8: not valid YAML"),
        (f"group: !{SECRET} x", "line 1, column 8: not valid YAML"),
        ("group: a\ngroup: b\n", "line 2, column 1: not valid YAML: the key group comes twice"),
        ("- group\n", "should be a mapping"),
        ("group: 2024-13-45", "not valid YAML"),
        ("group: \x01", "not valid YAML"),
        ("[" * 520 + "]" * 520, "not valid YAML"),
    ],
)
def test_bad_yaml_is_told_with_its_line(write: Writer, text: str, fault: str) -> None:
    """And without the line's content, which may be a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load(write(text), {})
    assert fault in str(caught.value)
    assert "bridge.yaml: " in str(caught.value)
    assert SECRET not in str(caught.value)


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
