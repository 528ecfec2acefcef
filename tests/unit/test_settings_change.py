"""What a running worker takes up of another configuration, what it refuses, and how it notices."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trustme

from connector.auth.redis_link import RedisPlan, renew_client
from connector.core.peers import Peers, decode, encode
from connector.errors import ConfigurationError
from connector.kafka.client import KafkaClient
from connector.settings import Change, ConfigurationSource, Settings, difference, digest, load, refused

_BASE: dict[str, Any] = {
    "group": "g",
    "kafka": {"bootstrap_servers": "k:9092", "client": {"sasl.password": "hush"}},
    "platforms": {
        name: {
            "kind": "genesys-sequence",
            "stream_url": f"wss://{name}/{{channel}}",
            "headers": {"X-Key": "hush"},
            "auth": {"token_url": f"https://{name}/token", "client_id": "id", "client_secret": "hush"},
        }
        for name in ("north", "south")
    },
    "streams": [{"name": f"{name}-{n}", "platform": name, "topic": "t"} for name in ("north", "south") for n in (1, 2)],
}


def _settings(tmp_path: Path, document: dict[str, Any]) -> Settings:
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document))
    return load(path, {})


@pytest.fixture
def document() -> dict[str, Any]:
    """A configuration to change."""
    return copy.deepcopy(_BASE)


def _change(**sets: set[str]) -> Change:
    names = ("added", "removed", "changed", "opened", "closed", "renewed")
    return Change(**{name: frozenset(sets.get(name, set())) for name in names})


def test_nothing_new_is_nothing_to_do(tmp_path: Path, document: dict[str, Any]) -> None:
    """The same file, read again."""
    old, new = _settings(tmp_path, document), _settings(tmp_path, document)
    assert (refused(old, new), difference(old, new), digest(old)) == ([], _change(), digest(new))


def test_streams_come_go_and_change(tmp_path: Path, document: dict[str, Any]) -> None:
    """Only those that differ."""
    old = _settings(tmp_path, document)
    document["streams"][0]["on_gap"] = "stop"
    document["streams"][3]["name"] = "south-3"
    new = _settings(tmp_path, document)
    assert difference(old, new) == _change(changed={"north-1"}, removed={"south-2"}, added={"south-3"})
    assert digest(old) != digest(new)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("", "stream_url", "wss://other/{channel}"), ("headers", "X-Key", "new"), ("auth", "client_id", "other")],
)
def test_changed_platform_is_opened_anew_with_its_streams(
    tmp_path: Path, document: dict[str, Any], section: str, key: str, value: str
) -> None:
    """The other platform's are not touched."""
    old = _settings(tmp_path, document)
    platform = document["platforms"]["north"]
    (platform[section] if section else platform)[key] = value
    new = _settings(tmp_path, document)
    assert difference(old, new) == _change(changed={"north-1", "north-2"}, opened={"north"}, closed={"north"})


def test_platform_comes_and_goes_with_its_streams(tmp_path: Path, document: dict[str, Any]) -> None:
    """A stream that moves to it goes on there."""
    old = _settings(tmp_path, document)
    document["platforms"]["west"] = document["platforms"].pop("south")
    for stream in document["streams"][2:]:
        stream["platform"] = "west"
    found = difference(old, _settings(tmp_path, document))
    assert found == _change(changed={"south-1", "south-2"}, opened={"west"}, closed={"south"})


def test_new_secret_of_the_oauth_client_touches_no_stream(tmp_path: Path, document: dict[str, Any]) -> None:
    """The token service uses it from its next request on; workers that have it already do not differ from others."""
    old = _settings(tmp_path, document)
    document["platforms"]["north"]["auth"]["client_secret"] = "new"
    new = _settings(tmp_path, document)
    assert difference(old, new) == _change(renewed={"north"})
    assert digest(old) == digest(new)


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"group": "h"}, ["group"]),
        ({"lanes": 4}, ["lanes"]),
        ({"kafka": {"bootstrap_servers": "k:9093"}}, ["kafka.bootstrap_servers", "kafka.client"]),
        (
            {"commit": {"max_events": 7}, "network": {"breaker_failures": 3}},
            ["commit.max_events", "network.breaker_failures"],
        ),
        ({"http": {"listen": "127.0.0.1:1"}}, ["http.listen"]),
    ],
)
def test_what_cannot_change_is_named(
    tmp_path: Path, document: dict[str, Any], change: dict[str, Any], keys: list[str]
) -> None:
    """By its path in the file."""
    assert refused(_settings(tmp_path, document), _settings(tmp_path, {**document, **change})) == keys


def test_new_passwords_are_taken_up_and_new_addresses_are_not(tmp_path: Path, document: dict[str, Any]) -> None:
    """Of Kafka and Redis; the key that tokens are encrypted with is not a password to be renewed."""

    def settings(password: str, **more: str) -> Settings:
        client = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
        kafka = {"bootstrap_servers": "k:1", "client": {**client, "sasl.password": password}}
        redis = {"url": "redis://r", "password": password, **more}
        return _settings(tmp_path, {**document, "kafka": kafka, "redis": redis})

    keys = ["A" * 43 + "=", "B" * 43 + "="]
    old = settings("old", encryption_key=keys[0])
    assert refused(old, settings("new", encryption_key=keys[0])) == []
    assert refused(old, settings("old", encryption_key=keys[1])) == ["redis.encryption_key"]
    assert digest(old) == digest(settings("new", encryption_key=keys[0]))


def test_a_renewed_certificate_is_noticed(tmp_path: Path, document: dict[str, Any]) -> None:
    """Properties of the client name its file; it is watched as a secret is."""
    authority, path = tmp_path / "ca.pem", tmp_path / "bridge.yaml"
    trustme.CA().cert_pem.write_to_path(authority)
    document["kafka"] = {"bootstrap_servers": "k:1", "client": {"ssl.ca.location": str(authority)}}
    path.write_text(json.dumps(document))
    source = ConfigurationSource(path, {})
    printed, files = source.fingerprint(), source.read().kafka.files()
    trustme.CA().cert_pem.write_to_path(authority)
    os.utime(authority, ns=(1, 1))
    assert source.fingerprint() != printed
    assert source.read().kafka.files() != files


def test_client_of_redis_connects_with_renewed_credentials() -> None:
    """From its next connection on."""
    client = RedisPlan("redis://user@h:6379/0", "old").client()
    renew_client(client, RedisPlan("redis://user@h:6379/0", "new"))
    assert client.connection_pool.connection_kwargs["password"] == "new"


def test_client_of_kafka_tells_a_login_from_what_a_new_client_needs() -> None:
    """A new password is told to a consumer that runs; a certificate is not."""
    client = KafkaClient("k:1", "g", {"sasl.username": "u", "sasl.password": "old"})
    client.renew({"sasl.username": "u", "sasl.password": "new"}, files=False)
    assert (client.generation, client.rebirths, client.login) == (1, 0, ("u", "new"))
    client.renew({"sasl.username": "u", "sasl.password": "new"}, files=True)
    assert (client.generation, client.rebirths) == (2, 1)
    client.renew({"sasl.oauthbearer.client.secret": "new"}, files=False)
    assert (client.generation, client.rebirths, client.login) == (3, 2, None)


def test_workers_may_listen_at_addresses_of_their_own(tmp_path: Path, document: dict[str, Any]) -> None:
    """They do the same all the same."""
    one = _settings(tmp_path, document)
    assert digest(one) == digest(_settings(tmp_path, {**document, "http": {"listen": "127.0.0.1:1"}}))


def test_a_changed_file_is_noticed_and_so_is_a_secret(tmp_path: Path, document: dict[str, Any]) -> None:
    """Written in place, or by swapping a link as Kubernetes does."""
    secret, link, path = tmp_path / "secret-1", tmp_path / "secret", tmp_path / "bridge.yaml"
    secret.write_text("hush")
    link.symlink_to(secret)
    auth = document["platforms"]["north"]["auth"]
    del auth["client_secret"]
    auth["client_secret_file"] = str(link)
    path.write_text(json.dumps(document))
    source = ConfigurationSource(path, {})
    first = source.fingerprint()
    assert source.fingerprint() == first
    (tmp_path / "secret-2").write_text("hist")
    (tmp_path / "next").symlink_to(tmp_path / "secret-2")
    (tmp_path / "next").rename(link)
    second = source.fingerprint()
    assert second != first
    os.utime(path, ns=(1, 1))
    assert source.fingerprint() != second
    path.unlink()
    assert source.fingerprint() != second
    with pytest.raises(ConfigurationError):
        source.read()


def test_workers_with_another_configuration_are_named_until_they_agree_or_leave() -> None:
    """Silence for a minute is leaving."""
    peers = Peers()
    for worker, what in (("a", "1"), ("b", "2"), ("c", "2")):
        peers.heard(worker, what, 0.0)
    assert peers.differing("1", 1.0) == ["b", "c"]
    peers.heard("b", "1", 2.0)
    peers.heard("c", "2", 60.0)
    assert peers.differing("1", 70.0) == ["c"]
    peers.heard("c", None, 71.0)
    assert peers.differing("1", 72.0) == []


@pytest.mark.parametrize(
    "value", [b"", b"[]", b'{"v":2,"configuration":"ab"}', b'{"v":1,"configuration":"\\u0000"}', b'{"v":1}']
)
def test_notices_that_are_none_are_ignored(value: bytes) -> None:
    """Whoever wrote them."""
    assert decode(value) is None
    assert decode(encode("ab12")) == "ab12"
