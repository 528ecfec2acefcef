"""A run in which every secret is marked, with trouble of every kind: no mark is in anything that comes out of it."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient

from connector.simulator import SimulatorSettings
from tests.support.keys import private_pem, public_pem
from tests.support.redis_server import own_redis
from tests.support.scenario import Scenario
from tests.support.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.tools]

_PROGRAM = Path(sys.executable).with_name("ccaas-bridge")
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MARK = "S3CRET"
_STREAMS = {"wfm": "sim", "keys": "keys", "jwt": "jwt", "lost": "lost"}
"""Streams and their platforms."""
_PATHS = (
    "/",
    "/metrics",
    "/health/ready",
    "/connectors",
    "/connectors?expand=status&expand=info",
    "/connector-plugins",
    "/connector-plugins/genesys-sequence/config",
    "/admin/loggers",
    "/openapi.json",
    *(
        f"/connectors/{stream}{part}"
        for stream in _STREAMS
        for part in ("", "/config", "/status", "/tasks", "/tasks/0/status", "/topics", "/offsets")
    ),
)
_COMMANDS = (
    ("check",),
    ("check", "--json"),
    ("audit", "--stream", "wfm"),
    ("audit", "--stream", "wfm", "--json"),
    ("gaps",),
    ("checkpoint", "list"),
    ("checkpoint", "show", "--stream", "wfm"),
    ("streams", "--json"),
)


class Marks:
    """Secrets that cannot be missed, also where Basic authentication has put them into Base64."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def make(self, what: str) -> str:
        """A secret."""
        secret = f"{_MARK}-{what}-0123456789abcdef"
        self._secrets += [secret, base64.b64encode(f"bridge:{secret}".encode()).decode()]
        return secret

    def keep(self, *secrets: str) -> None:
        """These are secret, too."""
        self._secrets += secrets

    def found_in(self, text: str | bytes) -> list[str]:
        """The secrets that a text tells."""
        told = text if isinstance(text, bytes) else text.encode()
        return [secret for secret in self._secrets if secret.encode() in told]


def _platforms(url: str, marks: Marks, key: Path) -> dict[str, Any]:
    """One for each grant, all with a marked header; and one behind a proxy that does not exist."""
    wire = {"kind": "genesys-sequence", "stream_url": f"{url.replace('http', 'ws', 1)}/stream/{{channel}}"}
    common = {"token_url": f"{url}/token", "client_id": "bridge", "client_secret": marks.make("client")}
    grants: dict[str, dict[str, Any]] = {
        "sim": {**common, "extra_parameters": {"audience": marks.make("parameter")}},
        "keys": {**common, "grant": "password", "username": "user", "password": marks.make("access-key")},
        "jwt": {
            "grant": "jwt_bearer",
            "token_url": f"{url}/token",
            "private_key_file": str(key),
            "issuer": "bridge",
            "subject": "bridge",
        },
        "lost": {**common, "client_secret": marks.make("other-client")},
    }
    found: dict[str, dict[str, Any]] = {}
    for name, auth in grants.items():
        headers, summary = {"X-Api-Key": marks.make("header")}, f"{url}/summary?key={marks.make('query')}"
        all_of_auth = {"refresh_buffer_seconds": 1, **auth}
        found[name] = {**wire, "snapshot_url": summary, "headers": headers, "auth": all_of_auth}
    found["lost"]["proxy"] = f"http://user:{marks.make('proxy')}@127.0.0.1:9"
    return found


async def _answers(it: Scenario, token: str) -> list[tuple[str, bytes]]:
    """What the listener tells an operator, and one whose token is wrong; some of the page's live events too."""
    found: list[tuple[str, bytes]] = []
    good = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(it.worker.url, timeout=_TIMEOUT) as session:
        await session.put("/admin/loggers/root", json={"level": "DEBUG"}, headers=good)
        for path in _PATHS:
            for headers in (good, {"Authorization": f"Bearer {token}x"}):
                async with session.get(path, headers=headers) as answer:
                    found.append((path, await answer.read()))
        config = {"connector.class": "genesys-sequence", "name": "wfm", "topic": token}
        async with session.put("/connector-plugins/genesys-sequence/config/validate", json=config, headers=good) as _:
            pass
        async with session.get("/ui/events", headers=good) as live:
            found += [("/ui/events", await live.content.readuntil(b"\n\n")) for _ in range(2)]
    return found


def _commands(it: Scenario) -> Iterator[tuple[str, str]]:
    for command in _COMMANDS:
        ran = [str(_PROGRAM), *command, "-c", str(it.worker.file)]
        done = subprocess.run(ran, capture_output=True, text=True, check=False, timeout=120)
        yield " ".join(command), done.stdout + done.stderr


def _topics(it: Scenario) -> list[str]:
    listed = AdminClient({"bootstrap.servers": it.kafka}).list_topics(timeout=15).topics
    return [topic for topic in listed if topic.startswith(it.group)]


async def test_no_secret_in_anything_that_comes_out(stage: Stage) -> None:
    """Log at its finest, metrics, REST, page, topics, notifications, commands; while tokens die and are refused."""
    marks, directory = Marks(), stage.directory / stage.name("secrets")
    directory.mkdir()
    pem = private_pem("RS256").decode()
    key = directory / "key.pem"
    key.write_text(pem)
    marks.keep(*(line for line in pem.splitlines() if "KEY" not in line and len(line) > 32))
    token, reader = marks.make("operator"), marks.make("reader")
    settings = SimulatorSettings(
        rate=50,
        token_life_s=4,
        client_id="bridge",
        client_secret=marks.make("client"),
        access_key=("user", marks.make("access-key")),
        assertion_key=public_pem("RS256"),
    )
    given = [{"name": name, "platform": platform} for name, platform in _STREAMS.items()]
    with own_redis(directory / "redis", ("requirepass", marks.make("redis"))) as redis:
        async with Scenario(stage, settings, *given, started=False) as it:
            config = json.loads(it.worker.file.read_text())
            sealing = base64.b64encode(bytes(range(32))).decode()
            marks.keep(sealing)
            config["platforms"] = _platforms(it.simulator.base_url, marks, key)
            config["redis"] = {"url": redis.url, "password": marks.make("redis"), "encryption_key": sealing}
            config["http"] |= {"token": token, "read_token": reader}
            config["kafka"]["client"] = {"sasl.password": marks.make("kafka")}
            it.worker.file.write_text(json.dumps(config))
            await it.start()
            for name in ("wfm", "keys", "jwt"):
                await it.flowing(20, name)
            told = await _answers(it, token)
            await it.rotated(1)
            it.simulator.expire_tokens()
            await it.flowing(20)
            it.simulator.refuse(3.0, status=403)
            it.simulator.abort()
            await it.until(lambda: it.failures("auth"), "a refusal")
            await asyncio.to_thread(redis.kill)
            it.simulator.expire_tokens()
            await it.flowing(20)
            told += await _answers(it, token)
            told += [(name, text.encode()) for name, text in await asyncio.to_thread(lambda: list(_commands(it)))]
            topics = await asyncio.to_thread(_topics, it)
            records = await it.records(*topics)
            issued = list(it.simulator.world.tokens.issued)
            await it.stop()
            log = it.worker.log_text()
    marks.keep(*issued)
    assert len(issued) > 4
    assert marks.found_in(it.worker.file.read_bytes()), "the search finds nothing, even where it all stands"
    assert {"checkpoints", "control", "notifications", "events"} <= {topic.rpartition(".")[2] for topic in topics}
    assert '"level":"debug"' in log
    told += [("log", log.encode()), *((record.topic, repr(record).encode()) for record in records)]
    leaks = {place: found for place, text in told if (found := marks.found_in(text))}
    assert leaks == {}
