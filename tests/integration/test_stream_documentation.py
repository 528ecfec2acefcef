"""What ``docs/consuming.md`` tells readers to do, done: every Python block and every kcat command."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message

from tests.support.ledger import Record
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.stage import Stage

pytestmark = pytest.mark.tools

_PAGE = Path(__file__).parents[2] / "docs" / "consuming.md"
_COMMAND_TIMEOUT_S = 60.0


def _blocks(language: str) -> list[str]:
    """The code blocks of a language ("" for commands)."""
    parts = re.split(r"^```(.*)\n", _PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [block for found, block in zip(parts[1::4], parts[2::4], strict=True) if found == language]


def _up_to(count: int, consumer: Consumer) -> Iterator[Message]:
    """What the page calls ``read``: so many records, then the consumer is closed."""
    while count:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            count -= 1
            yield message
    consumer.close()


def _run_python(it: Scenario, events: tuple[Record, ...]) -> dict[str, Any]:
    """The blocks, one after the other, as one program; returns its names."""
    handled: list[tuple[str, bytes, bytes]] = []
    names: dict[str, Any] = {
        "kafka": it.kafka,
        "group": it.group,
        "topic": it.topic,
        "read": lambda consumer: _up_to(len(events), consumer),
        "handle": lambda *what: handled.append(what),
        "handled": handled,
    }
    for block in _blocks("python"):
        exec(compile(block, str(_PAGE), "exec"), names)  # noqa: S102  # our own page
    return names


def _run_commands(it: Scenario) -> list[str]:
    """What the kcat commands print."""
    if shutil.which("kcat") is None:
        pytest.fail("The page's commands are run with kcat: apt-get install kcat", pytrace=False)
    environment = {**os.environ, "KAFKA": it.kafka, "TOPIC": it.topic, "GROUP": it.group}
    commands = [line for block in _blocks("") for line in block.splitlines() if line.startswith("kcat ")]
    return [
        subprocess.run(
            ["bash", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=_COMMAND_TIMEOUT_S,
        ).stdout
        for command in commands
    ]


async def test_page_for_consumers_does_what_it_says(stage: Stage) -> None:
    """Records are read once, the watermark is the checkpoint's, a position is found, kcat shows every event."""
    async with Scenario(stage, platform(rate=100, token_life_s=5, backlog=200)) as it:
        await it.ready()
        await it.flowing(100)
        await it.finish()
        events = await it.records(it.topic)
        names = await asyncio.to_thread(_run_python, it, events)
        assert sorted(value for _, _, value in names["handled"]) == sorted(event.value for event in events)

        checkpoint = it.checkpoint()
        assert checkpoint is not None
        assert names["watermark"] == checkpoint["complete_until"]
        assert names["checkpoints"](it.kafka, it.group)[STREAM] == checkpoint

        wanted = events[len(events) // 2]
        source = f"/ccaas/{it.group}/sim/{STREAM}".encode()
        position = wanted.headers["ce_position"]
        found = await asyncio.to_thread(names["find"], it.kafka, it.topic, source, position, wanted.timestamp_ms)
        assert found == (wanted.partition, wanted.offset)
        assert names["is_event"](wanted.headers)

        shown, dead = await asyncio.to_thread(_run_commands, it)
        assert shown.count("ce_specversion=1.0") == len(events)
        assert not dead
