"""Operators steer streams through the control topic: pause, stop, restart, positions; once, also across a crash."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from connector.errors import ControlUnavailableError, NotStoppedError
from connector.model import Target
from tests.support.fleet import say
from tests.support.ledger import unfinished
from tests.support.operators import Operator
from tests.support.scenario import STREAM, Scenario, platform
from tests.support.seed import SEED, TOLD
from tests.support.stage import Stage


async def _ids(it: Scenario) -> list[tuple[int, int]]:
    """Epoch and position of every event that a read_committed reader finds, as the platform ordered them."""
    ids = [dict(record.headers)["ce_id"] for record in await it.records(it.topic)]
    return sorted((int(epoch), int(position)) for epoch, position in (str(i, "ascii").split("/") for i in ids))


async def _checkpoints(it: Scenario, command_id: str) -> list[dict[str, Any]]:
    """The checkpoints of a change that the topic still holds: those with its reason are those that it made."""
    records = await it.records(f"{it.group}.checkpoints")
    found = [json.loads(record.value) for record in records if record.key == STREAM.encode() and record.value]
    return [each for each in found if each["command_id"] == command_id and each["reason"] is not None]


async def _gaps(it: Scenario) -> list[tuple[str, int, int]]:
    found = [json.loads(record.value) for record in await it.records(f"{it.group}.gaps")]
    return [(gap["reason"], gap["from"], gap["to"]) for gap in found]


async def test_paused_stream_has_no_socket_and_loses_nothing(stage: Stage) -> None:
    """The socket is closed with 1000, the others flow on, the worker is ready; a restart of the worker keeps it so."""
    streams = ({"name": STREAM}, {"name": "crm"})
    async with Scenario(stage, platform(rate=100), *streams) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(50)
        await operator.set(STREAM, Target.PAUSED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        assert (end := it.sockets()[-1].closed) is not None
        assert (end.by, end.code) == ("client", 1000)
        await it.flowing(50, "crm")
        await it.ready()
        await it.kill9()
        await it.start()
        await it.ready()
        await it.flowing(50, "crm")
        assert not it.open_sockets()
        await operator.set(STREAM, Target.RUNNING)
        await it.flowing(50)
        await it.finish()


async def test_restart_opens_the_stream_again_once(stage: Stage) -> None:
    """From its last commit; the record comes again with the next request, and nothing happens."""
    async with Scenario(stage, platform(rate=200)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(50)
        await operator.restart(STREAM)
        await it.opened(2)
        await it.flowing(50)
        await operator.set(STREAM, Target.PAUSED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        await operator.set(STREAM, Target.RUNNING)
        await it.opened(3)
        await it.flowing(50)
        assert it.count("opens") == 3
        await it.finish()


async def test_many_streams_are_told_at_once_in_few_transactions(stage: Stage) -> None:
    """Three hundred requests at one moment: one transaction. Those of another process meanwhile are not lost."""
    names = [f"s{i}" for i in range(300)]
    async with (
        Scenario(stage, platform(rate=100)) as it,
        Operator(it.kafka, it.group) as operator,
        Operator(it.kafka, it.group) as other,
    ):
        await it.ready()
        before = await it.end_of(f"{it.group}.control")
        await asyncio.gather(
            *(operator.set(name, Target.PAUSED) for name in names), other.restart(STREAM), other.restart("s7")
        )
        written = await it.end_of(f"{it.group}.control") - before
        assert {operator.control.desired(name).target for name in names} == {Target.PAUSED}
        await it.until(lambda: other.control.desired("s7").target is Target.PAUSED, "the other hears of it")
        assert operator.control.desired("s7").restart_id
        say(f"{len(names) + 2} requests: {written} offsets, records and markers")
        assert written < len(names) + 20, "a transaction's marker takes an offset too"
        with pytest.raises(NotStoppedError):
            await asyncio.gather(operator.set("s1", Target.STOPPED), operator.move("s2", 5), operator.move("s1", 5))
        assert operator.control.desired("s1").change is not None, "one that is refused takes no other with it"
        await it.finish()


async def test_position_moves_forward_with_a_gap_record(stage: Stage) -> None:
    """Only while stopped; gap record, checkpoint and its reason in one transaction; a resume does not erase it."""
    async with Scenario(stage, platform(rate=100)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(20)
        with pytest.raises(NotStoppedError):
            await operator.move(STREAM, 10_000)
        await operator.set(STREAM, Target.STOPPED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        target = it.head()[1] + 50
        await it.until(lambda: it.head()[1] > target, "events that are left out")
        change = await operator.move(STREAM, target)
        await operator.set(STREAM, Target.RUNNING)
        await it.flowing(50)
        await it.drained()
        await it.stop()
        assert len(await _checkpoints(it, change)) == 1
        ids = await _ids(it)
        stood = max(position for _, position in ids if position <= target)
        assert await _gaps(it) == [("operator", stood + 1, target)]
        assert ids == [(0, p) for p in range(1, it.position()[1] + 1) if not stood < p <= target]


async def test_position_moves_back_in_a_new_epoch_once_across_kills(stage: Stage) -> None:
    """The platform's replay counts anew; a takeover in the middle, and the same record again, change nothing."""
    async with Scenario(stage, platform(rate=100)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(100)
        await operator.set(STREAM, Target.STOPPED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        request = asyncio.create_task(operator.move(STREAM, 20))
        await asyncio.sleep(0.15)
        await it.kill9()
        change = await request
        await it.start()
        await it.until(lambda: it.position() == (1, 20), "the change")
        await it.kill9()
        await it.start()
        await operator.set(STREAM, Target.RUNNING)
        await it.until(lambda: it.position() > (1, 60), "the replay")
        await it.kill9()
        await it.start()
        await it.until(lambda: it.position()[1] >= it.head()[1] - 20, "the present")
        it.simulator.quiet(3600)
        await it.until(lambda: it.position()[1] == it.head()[1], "the end")
        await it.stop()
        assert len(await _checkpoints(it, change)) == 1
        code, told = await _command(it, "audit", "--stream", STREAM)
        assert code == 0, told
        ids = await _ids(it)
        stood = max(position for epoch, position in ids if epoch == 0)
        head = it.head()[1]
        assert ids == [(0, p) for p in range(1, stood + 1)] + [(1, p) for p in range(21, head + 1)]
        assert await _gaps(it) == []


async def test_deleted_position_lets_the_stream_begin_anew(stage: Stage) -> None:
    """As configured, in a new epoch: here from the earliest that the platform has."""
    async with Scenario(stage, platform(rate=100)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(50)
        await operator.set(STREAM, Target.STOPPED)
        change = await operator.move(STREAM, None)
        await it.until(lambda: (it.checkpoint() or {}).get("command_id") == change, "the change")
        assert (it.checkpoint() or {})["position"] is None
        assert (it.checkpoint() or {})["anew"]
        await operator.set(STREAM, Target.RUNNING)
        await it.until(lambda: it.position() >= (1, 100), "the new beginning")
        it.simulator.quiet(3600)
        await it.until(lambda: it.position()[1] == it.head()[1], "the end")
        await it.stop()
        ids = await _ids(it)
        stood = max(position for epoch, position in ids if epoch == 0)
        assert ids == [(0, p) for p in range(1, stood + 1)] + [(1, p) for p in range(1, it.head()[1] + 1)]


async def test_stream_stops_after_a_gap_until_an_operator_lets_it_go_on(stage: Stage) -> None:
    """``on_gap: stop``: the gap is recorded, nothing more is read, a restart does not forget it; then it is resumed."""
    streams = {"name": STREAM, "on_gap": "stop"}
    async with Scenario(stage, platform(rate=100), streams) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await it.flowing(20)
        it.simulator.jump(5, STREAM)
        await it.until(lambda: it.story("stream stopped after a gap (on_gap: stop)"), "the stop")
        await it.until(lambda: not it.open_sockets(), "no socket")
        await it.until(lambda: (it.checkpoint() or {}).get("stopped"), "a checkpoint that says so")
        await it.until(lambda: operator.control.desired(STREAM).target is Target.STOPPED, "all to know")
        opens = it.count("opens")
        await it.kill9()
        await it.start()
        await it.until(lambda: len(it.story("stream stopped after a gap (on_gap: stop)")) > 1, "the stop, remembered")
        assert it.count("opens") == opens
        assert await it.status("/health/ready") == 503
        await operator.set(STREAM, Target.RUNNING)
        await it.ready()
        await it.flowing(50)
        await it.kill9()
        await it.start()
        await it.flowing(50)
        ((reason, *_),) = await _gaps(it)
        assert reason == "jump"


async def test_garbage_in_the_control_topic_is_skipped(stage: Stage) -> None:
    """It is told, and what streams were told before goes on to count."""
    async with Scenario(stage, platform(rate=100)) as it, Operator(it.kafka, it.group) as operator:
        await it.ready()
        await operator.set(STREAM, Target.PAUSED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        for value in (b"\x00garbage", b'{"v":9,"stream":"wfm","state":"running"}'):
            await asyncio.to_thread(it.write, f"{it.group}.control", STREAM, value)
        await it.until(lambda: it.worker.log_text().count("is skipped") >= 2, "the complaint")
        assert not it.open_sockets()
        await operator.set(STREAM, Target.RUNNING)
        await it.flowing(20)
        await it.finish()


async def test_a_missing_control_topic_keeps_no_stream_from_running(stage: Stage) -> None:
    """Nobody can be told anything, and whoever asks hears why."""
    async with Scenario(stage, platform(rate=100), topics={"create": False}, started=False) as it:
        specs = (("checkpoints", 1), ("gaps", 1), ("dead-letter", 1), ("events", 2))
        topics = [NewTopic(f"{it.group}.{name}", partitions, 1) for name, partitions in specs]
        admin = AdminClient({"bootstrap.servers": it.kafka})  # kept until the answers are here
        for answer in admin.create_topics(topics).values():
            await asyncio.to_thread(answer.result)
        await it.start()
        await it.ready()
        await it.flowing(20)
        async with Operator(it.kafka, it.group) as operator:
            with pytest.raises(ControlUnavailableError, match=f"{it.group}.control"):
                await operator.set(STREAM, Target.PAUSED)
        await it.finish()


async def _command(it: Scenario, *words: str) -> tuple[int | None, str]:
    """``ccaas-bridge`` with these words and the worker's configuration; its exit code, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "connector",
        *words,
        "-c",
        str(it.directory / "bridge.yaml"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_streams_are_steered_from_the_command_line(stage: Stage) -> None:
    """All of them, some by name; a name that is none, or no name at all, changes nothing."""
    async with Scenario(stage, platform(rate=100), {"name": STREAM}, {"name": "crm"}) as it:
        await it.ready()
        await it.flowing(20)
        assert await _command(it, "streams", "pause", "--all") == (
            0,
            "2 streams are told; ccaas-bridge streams shows what they do\n",
        )
        await it.until(lambda: not it.open_sockets() and not it.open_sockets("crm"), "the sockets closed")
        for words in (["crm", "nope"], [], ["crm", "--all"]):
            code, told = await _command(it, "streams", "resume", *words)
            assert code == 2, told
        assert (await _command(it, "streams", "resume", "crm"))[0] == 0
        await it.flowing(20, "crm")
        assert not it.open_sockets()
        opens = len(it.sockets("crm"))
        assert (await _command(it, "streams", "restart", "crm"))[0] == 0
        await it.until(lambda: len(it.sockets("crm")) > opens, "another socket")
        assert (await _command(it, "streams", "stop", STREAM))[0] == 0
        assert (await _command(it, "streams", "resume", STREAM))[0] == 0
        await it.flowing(20)
        await it.finish()


async def _writing(it: Scenario, writer: asyncio.subprocess.Process) -> None:
    """Return once somebody's transaction is open in the control topic, or the writer has ended."""
    control = [f"{it.group}.control"]
    while writer.returncode is None and not await asyncio.to_thread(unfinished, it.kafka, control):  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # Kafka has no bell for it


async def _obeyed(it: Scenario, names: list[str], *, runs: bool) -> None:
    await it.until(lambda: all(bool(it.open_sockets(name)) == runs for name in names), "all do as they are told")


async def test_writer_and_owner_are_killed_in_the_middle_of_a_request(stage: Stage) -> None:
    """All streams were told or none, whoever died; what they were told is done, once, and no event suffers."""
    streams = [{"name": f"s{i}"} for i in range(12)]
    rng = random.Random(SEED)
    async with Scenario(stage, platform(rate=50), *streams) as it, Operator(it.kafka, it.group) as operator:
        it.note = TOLD
        await it.ready()
        for verb in ("pause", "resume", "stop", "resume"):
            words = ["streams", verb, "--all", "-c", str(it.directory / "bridge.yaml")]
            writer = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "connector", *words, stdout=asyncio.subprocess.DEVNULL
            )
            await _writing(it, writer)
            await asyncio.sleep(rng.uniform(0.0, 0.6))
            if writer.returncode is None:
                writer.kill()
            await it.kill9()
            await writer.wait()
            await it.start()
            await asyncio.to_thread(operator.control.catch_up)
            targets = {operator.control.desired(stream["name"]).target for stream in streams}
            say(f"{verb}: exit {writer.returncode}, then all are {targets}; {TOLD}")
            assert len(targets) == 1
            await _obeyed(it, [stream["name"] for stream in streams], runs=targets == {Target.RUNNING})
        assert (await _command(it, "streams", "resume", "--all"))[0] == 0
        for stream in streams:
            await it.flowing(10, stream["name"])
        await it.finish()


async def test_position_is_set_from_the_command_line(stage: Stage) -> None:
    """Refused while the stream runs; made by its owner while it is stopped; kept for the next worker if none runs."""
    async with Scenario(stage, platform(rate=100)) as it, Operator(it.kafka, it.group) as operator:

        async def change(verb: str, *arguments: str) -> tuple[int | None, str]:
            return await _command(it, "checkpoint", verb, "--stream", STREAM, *arguments)

        await it.ready()
        await it.flowing(60)
        code, told = await change("set", "--position", "20")
        assert (code, "stop it first" in told) == (2, True), told
        await operator.set(STREAM, Target.STOPPED)
        await it.until(lambda: not it.open_sockets(), "the socket closed")
        code, told = await change("set", "--position", "20", "--reason", "replay")
        assert (code, "position 20 in epoch 1" in told) == (0, True), told
        assert (it.checkpoint() or {})["reason"] == "replay"
        await operator.set(STREAM, Target.RUNNING)
        await it.until(lambda: it.position() > (1, 40), "the replay")
        await it.stop()
        code, told = await change("delete")
        assert (code, "next worker" in told) == (0, True), told
        await it.start()
        await it.until(lambda: it.position() > (2, 40), "the new beginning")
        it.simulator.quiet(3600)
        await it.until(lambda: it.position()[1] == it.head()[1], "the end")
        await it.stop()
        ids = await _ids(it)
        last = {epoch: max(position for of, position in ids if of == epoch) for epoch in (0, 1)}
        expected = [(0, p) for p in range(1, last[0] + 1)] + [(1, p) for p in range(21, last[1] + 1)]
        assert ids == expected + [(2, p) for p in range(1, it.head()[1] + 1)]
