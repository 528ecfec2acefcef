"""Every way to authenticate, under the documented ACLs and a broker that denies all else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chorus import Stage, together_with_broker
from tests.support.maven_broker import BrokerUnavailableError
from tests.support.scenario import Scenario, platform
from tests.support.secure_broker import SecureBroker, documented_rules, secure_broker

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def _check(config: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What ``check`` says with the same permissions."""
    command = [str(Path(sys.executable).with_name("ccaas-bridge")), "check", "-c", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


async def _delivers(stage: Stage, secured: SecureBroker, way: str) -> None:
    """A bridge that comes in this way makes its topics and delivers through rotations, kill and restart."""
    client = dict(secured.ways()[way])
    environment = {"CCAAS__KAFKA__BOOTSTRAP_SERVERS": client.pop("bootstrap.servers")} | {
        f"CCAAS__KAFKA__CLIENT__{name.replace('.', '_').upper()}": value for name, value in client.items()
    }
    settings = platform(rate=100, token_life_s=3, retention_s=600)
    async with Scenario(stage, settings, kafka=secured.broker.bootstrap, started=False) as it:
        it.note = way
        secured.allow(documented_rules(_PAGE, group=it.group, event_topic=it.topic))
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


@together_with_broker
async def test_every_way_in_under_minimal_permissions(stage: Stage) -> None:
    """mTLS, PLAIN, SCRAM and OAUTHBEARER: nothing is lost, and nothing was asked that the ACLs don't allow."""
    try:
        with secure_broker(stage.directory / "secured") as secured:
            for way in secured.ways():
                await _delivers(stage, secured, way)
    except BrokerUnavailableError as error:
        pytest.fail(f"This test needs a broker of its own, from Maven's jars: {error}", pytrace=False)
