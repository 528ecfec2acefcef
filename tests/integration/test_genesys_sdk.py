"""Genesys's own SDK, unmodified, takes the simulator for Genesys Cloud.

The SDK lives in an environment of its own (172 MB; its import takes seconds): ``make test-tools`` makes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connector.simulator.genesys import GenesysCloud, GenesysSettings
from connector.simulator.genesys.topics import TEMPLATES

pytestmark = pytest.mark.tools

_ROOT = Path(__file__).parents[2]
_CUSTOMER = _ROOT / "tests/support/genesys_customer.py"
_PATIENCE_S = 300.0


def _interpreter() -> str:
    named = os.environ.get("CCAAS_GENESYS_SDK", str(_ROOT / ".venv/genesys/bin/python"))
    if not Path(named).exists():
        pytest.fail(f"no interpreter with Genesys's SDK at {named}: make .venv/.genesys, or set CCAAS_GENESYS_SDK")
    return named


@pytest.fixture(scope="module")
def experience(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a customer's program found, and the platform's counts (``platform``)."""
    home = tmp_path_factory.mktemp("home")  # the SDK reads a configuration from there

    async def run() -> dict[str, Any]:
        settings = GenesysSettings(
            rate=100.0, conversations=20, queues=12, users=25, rate_allowed=60, rate_window_s=3.0
        )
        async with GenesysCloud(settings) as cloud:
            cloud.push(400)
            events = home / "events.json"
            events.write_text(
                json.dumps([(each.topic, json.loads(each.body)) for each in cloud.told()]), encoding="utf-8"
            )
            arguments = (_interpreter(), str(_CUSTOMER), cloud.base_url, str(events))
            customer = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, env={"HOME": str(home)})
            out, _ = await asyncio.wait_for(customer.communicate(), _PATIENCE_S)
            assert customer.returncode == 0
            return {**json.loads(out.splitlines()[-1]), "platform": cloud.stats()}

    return asyncio.run(run())


def test_it_finds_queues_users_and_topics(experience: dict[str, Any]) -> None:
    """By name with asterisks, page by page, by a search."""
    assert experience["queues"] == ["Billing", "Billing 2"]
    assert (experience["users"], experience["sales"]) == (25, 13)
    assert experience["available"] == len(TEMPLATES)


def test_it_has_a_channel_with_its_subscriptions(experience: dict[str, Any]) -> None:
    """Created, listed, verified, replaced, added to."""
    assert experience["own"] == [True]
    assert experience["subscribed"]
    assert experience["platform"]["channels"]["simulator"]["created"] == 1


def test_it_reads_events_of_every_kind(experience: dict[str, Any]) -> None:
    """Each as the SDK's model of its topic has it; a ping is answered."""
    assert len(experience["kinds"]) == sum("detail" not in each.topic_id for each in TEMPLATES)
    assert experience["every kind"]
    assert experience["pong"]


def test_it_queries_conversations(experience: dict[str, Any]) -> None:
    """Page by page, each conversation once."""
    conversations = experience["conversations"]
    assert conversations["seen"] == conversations["different"] == conversations["hits"] > 20


def test_it_is_refused_in_genesys_terms(experience: dict[str, Any]) -> None:
    """Errors are the SDK's ``ErrorBody``."""
    assert experience["refused"] == {"unknown channel": 404, "unknown topic": 400, "too many requests": 429}


def test_it_keeps_to_the_rate_limit(experience: dict[str, Any]) -> None:
    """Every answer tells the limit; the SDK waits where it is told to, and then goes on."""
    limits = {name.lower(): value for name, value in experience["limits"].items()}
    assert limits["inin-ratelimit-allowed"] == "60"
    assert 0 < int(limits["inin-ratelimit-count"]) <= 60
    assert 0 < int(limits["inin-ratelimit-reset"]) <= 3
    assert experience["platform"]["throttled"] > 1
