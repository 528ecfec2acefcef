"""Every way to authenticate, under the documented ACLs and a broker that denies all else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, configuration
from tests.support.scenario import LONG_S, Scenario, platform
from tests.support.secure_broker import SecureBroker, documented_rules, secure_broker
from tests.support.stage import Stage

_WRONG = "not-the-password"
_PATIENCE_S = 60.0
_PAGE = Path(__file__).parents[2] / "docs" / "security.md"


@contextlib.asynccontextmanager
async def _secured(stage: Stage, name: str) -> AsyncIterator[SecureBroker]:
    """A broker that is started and ended on a thread: the other voices go on."""
    with contextlib.ExitStack() as stack:
        try:
            yield await asyncio.to_thread(stack.enter_context, secure_broker(stage.directory / name))
        finally:
            await asyncio.to_thread(stack.close)


def _check(config: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What ``check`` says with the same permissions."""
    command = [str(Path(sys.executable).with_name("ccaas-bridge")), "check", "-c", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def _environment(way: Mapping[str, str]) -> dict[str, str]:
    client = dict(way)
    return {"CCAAS__KAFKA__BOOTSTRAP_SERVERS": client.pop("bootstrap.servers")} | {
        f"CCAAS__KAFKA__CLIENT__{name.replace('.', '_').upper()}": value for name, value in client.items()
    }


async def _delivers(stage: Stage, secured: SecureBroker, way: str) -> None:
    """A bridge that comes in this way makes its topics and delivers through rotations, kill and restart."""
    environment = _environment(secured.ways()[way])
    settings = platform(rate=100, token_life_s=3, retention_s=600)
    async with Scenario(stage, settings, kafka=secured.broker.bootstrap, started=False) as it:
        it.note = way
        await asyncio.to_thread(secured.allow, documented_rules(_PAGE, group=it.group, event_topic=it.topic))
        await asyncio.to_thread(it.worker.start, environment)
        await it.ready()
        await it.rotated(1)
        await it.kill9()
        await asyncio.to_thread(it.worker.start, environment)
        await it.ready()
        await it.flowing(20)
        await it.finish()
        checked = await asyncio.to_thread(_check, it.directory / "bridge.yaml", environment)
        assert checked.returncode == 0, checked.stdout
        assert not [line for line in it.worker.log_text().splitlines() if "AUTHORIZATION_FAILED" in line]


async def _is_told(stage: Stage, client: dict[str, str], reason: str) -> None:
    """A bridge with this client lives, is not ready, and says why Kafka does not let it in; never the password."""
    bootstrap = client.pop("bootstrap.servers")
    config = configuration(
        group=stage.name("refused"),
        kafka=bootstrap,
        platform_url="http://127.0.0.1:9",
        streams=[{"name": "wfm", "topic": "t"}],
    )
    config["kafka"]["client"] = client
    worker = BridgeProcess(stage.directory / stage.name("refused"), config)
    await asyncio.to_thread(worker.start)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while '"Kafka cannot be reached"' not in worker.log_text():  # noqa: ASYNC110 - a file has no bell
                await asyncio.sleep(0.1)
        told = next(line for line in worker.log_lines() if line["event"] == "Kafka cannot be reached")
        assert reason in told["detail"]
        assert await asyncio.to_thread(worker.status, "/health/live") == 200
        assert await asyncio.to_thread(worker.status, "/health/ready") == 503
        assert _WRONG not in worker.log_text()
    finally:
        await asyncio.to_thread(worker.kill9)


async def test_refused_credentials_are_told_as_such(stage: Stage) -> None:
    """A wrong password and an unknown authority each by name, not as a broker that is away."""
    async with _secured(stage, "refusing") as secured:
        ways = secured.ways()
        wrong = {**ways["SCRAM"], "sasl.password": _WRONG}
        unknown = {name: value for name, value in ways["SCRAM"].items() if name != "ssl.ca.location"}
        await asyncio.gather(
            _is_told(stage, wrong, "SASL authentication error"),
            _is_told(stage, unknown, "certificate verify failed"),
        )


async def test_every_way_in_under_minimal_permissions(stage: Stage) -> None:
    """mTLS, PLAIN, SCRAM and OAUTHBEARER: nothing is lost, and nothing was asked that the ACLs don't allow."""
    async with _secured(stage, "secured") as secured:
        for way in secured.ways():
            await _delivers(stage, secured, way)


async def _renews(stage: Stage, secured: SecureBroker, way: Mapping[str, str], change: Callable[[], None]) -> None:
    """What lets the bridge in is changed while it runs: its one socket stays, and every client has new credentials."""
    settings = platform(rate=100, token_life_s=LONG_S, retention_s=600)
    async with Scenario(stage, settings, kafka=secured.broker.bootstrap, started=False) as it:
        await asyncio.to_thread(secured.allow, documented_rules(_PAGE, group=it.group, event_topic=it.topic))
        await asyncio.to_thread(it.worker.start, _environment(way))
        await it.ready()
        await it.flowing(20)
        await asyncio.to_thread(change)
        await it.until(lambda: it.story("credentials renewed"), "the change to be noticed")
        await it.flowing(50)
        await it.ready()
        await it.flowing(50)
        assert len(it.sockets()) == 1
        await it.finish()
        assert not [line for line in it.worker.log_text().splitlines() if "uthentication" in line]


async def test_password_is_renewed_while_streams_are_open(stage: Stage) -> None:
    """The broker no longer takes the old one; new producers come in with the new one, and none reads it off the log."""
    async with _secured(stage, "password") as secured:
        await asyncio.to_thread(secured.change_password, "first of all")
        file = stage.directory / "password-file"
        file.write_text("first of all", encoding="utf-8")
        way = {**secured.ways()["SCRAM"], "sasl.password_file": str(file)}
        del way["sasl.password"]

        def change() -> None:
            secured.change_password("second to none")
            file.write_text("second to none", encoding="utf-8")

        await _renews(stage, secured, way, change)


async def test_certificate_is_renewed_while_streams_are_open(stage: Stage) -> None:
    """The worker joins the group again with it; its lane is held meanwhile, and the sockets stay open."""
    async with _secured(stage, "certificate") as secured:
        await _renews(stage, secured, secured.ways()["mTLS"], secured.change_certificate)
