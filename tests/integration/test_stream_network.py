"""The network, and what stands behind it: aborts, silence, servers that accept and close, positions that are gone."""

from __future__ import annotations

import pytest

from tests.support.scenario import STREAM, Scenario, missed, platform
from tests.support.stage import Stage

_QUICK = {"backoff_seconds": 0.5, "backoff_max_seconds": 2, "breaker_failures": 4, "breaker_seconds": 2}


async def test_tcp_aborts(stage: Stage) -> None:
    """Connections reset again and again: every position arrives once, in order."""
    async with Scenario(stage, platform(rate=300, token_life_s=8), network=_QUICK) as it:
        await it.ready()
        for _ in range(6):
            await it.flowing(100)
            it.simulator.abort()
            await it.until(it.open_sockets, "a socket again")
        await it.finish()
        assert it.count("unauthorized") == 0


async def test_accept_then_close_backs_off(stage: Stage) -> None:
    """A handshake alone is no health: a server that accepts and closes is dialled seldom, also with fresh tokens."""
    window_s = 10.0
    async with Scenario(stage, platform(rate=50, token_life_s=5), network=_QUICK) as it:
        await it.ready()
        await it.flowing(10)
        before = it.count("opens")
        it.simulator.accept_then_close(window_s)
        it.simulator.abort()
        await it.until(lambda: it.open_sockets() and it.count("opens") > before + 4, "a socket that stays")
        # a dial a second at most, and two tokens, each of which may dial once out of turn
        dials = it.count("opens") - before
        assert dials <= window_s + 4
        failures = [line["failures"] for line in it.failures("network")]
        assert failures[:5] == [1, 2, 3, 4, 5], "the back-off was reset by a handshake or by a rotation"
        await it.flowing(10)
        await it.finish()


async def test_half_open_connection_is_noticed(stage: Stage) -> None:
    """Nothing arrives and no ping is answered while TCP stays open: closed after the silence, and dialled anew."""
    configured = {"ping_seconds": 0.5, "silence_seconds": 2}
    async with Scenario(stage, platform(rate=100), configured=configured, network=_QUICK) as it:
        await it.ready()
        await it.flowing(10)
        it.simulator.freeze(30.0)
        await it.until(lambda: it.count("opens") == 2, "another socket", timeout_s=15)
        await it.flowing(50)
        await it.finish()


async def test_quiet_is_not_silent(stage: Stage) -> None:
    """A quiet stream whose pings are answered is left alone."""
    configured = {"ping_seconds": 0.5, "silence_seconds": 1.5}
    async with Scenario(stage, platform(rate=0), configured=configured) as it:
        await it.ready()
        opened_s = it.sockets()[0].opened_at_s
        await it.until(lambda: it.simulator.world.now() > opened_s + 6, "four times the silence")
        it.simulator.push()
        await it.committed()
        await it.finish()
        assert it.count("opens") == 1


async def test_platform_away_for_a_while(stage: Stage) -> None:
    """The platform stops and comes back on the same address: live all the time, ready when it is back, nothing lost."""
    async with Scenario(stage, platform(rate=100), network=_QUICK) as it:
        await it.ready()
        await it.flowing(20)
        port = it.simulator.port
        await it.simulator.stop()
        await it.until(lambda: len(it.failures("network")) >= 3, "three failures")
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        await it.simulator.start(port=port)
        await it.ready()
        await it.flowing(20)
        await it.finish()


async def test_platform_away_at_start(stage: Stage) -> None:
    """The platform and its token endpoint are away when the worker starts: it waits, and begins when they come."""
    async with Scenario(stage, platform(rate=100, backlog=50), listening=False, network=_QUICK) as it:
        await it.until(lambda: it.story("token request failed"), "a failed request")
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        await it.simulator.start(port=it.simulator.port)
        await it.ready()
        await it.flowing(20)
        await it.finish()


async def test_throttled_handshakes(stage: Stage) -> None:
    """429 with Retry-After on the handshake is obeyed: no dial before it is over."""
    async with Scenario(stage, platform(rate=100), network=_QUICK) as it:
        await it.ready()
        await it.flowing(20)
        it.simulator.refuse(5.0, status=429, retry_after_s=6.0)
        it.simulator.abort()
        ended_s = it.simulator.world.now()
        await it.until(lambda: it.count("opens") == 2, "a socket again")
        assert it.count("refused") == 1
        assert it.sockets()[-1].opened_at_s - ended_s >= 6.0
        await it.flowing(20)
        await it.finish()


@pytest.mark.parametrize("expired_position", ["head", "oldest"])
async def test_retention_passed_is_a_gap_exact_to_the_position(stage: Stage, expired_position: str) -> None:
    """What the platform no longer has is declared, to the position, and nothing else is."""
    settings = platform(rate=100, retention_s=3, expired_position=expired_position)
    async with Scenario(stage, settings, {"name": STREAM, "on_gap": "continue"}, network=_QUICK) as it:
        await it.ready()
        await it.flowing(50)
        known = len(it.story("gap recorded"))  # where the start took longer than the retention
        it.simulator.refuse(7.0)
        it.simulator.quiet(0.5)
        await it.committed()  # so that nothing is lost on its way
        it.simulator.abort()
        await it.until(lambda: len(it.story("gap recorded")) > known, "the gap")
        await it.flowing(50)
        await it.drained()
        gaps = missed(it, "retention")
        assert max((gap.last or 0) - (gap.first or 0) for gap in gaps) > 100
        await it.finish(gaps=gaps)


async def test_hole_in_front_of_silence_is_declared(stage: Stage) -> None:
    """The stream goes quiet right behind a hole, and who asks again gets nothing: what came is not kept for ever."""
    async with Scenario(stage, platform(rate=0)) as it:
        await it.ready()
        it.simulator.push()
        await it.committed()
        it.simulator.mute(25.0)
        it.simulator.jump(3)
        it.simulator.push()
        await it.until(lambda: it.position() == (0, 5), "the event behind the hole")
        probe = it.sockets()[-1]
        assert probe.sent_events == 0, "it was waited for until it spoke"
        assert it.simulator.world.now() - probe.opened_at_s > 9.5, "it was not given the time to speak"
        await it.finish(gaps=missed(it, "jump"))


async def test_outage_within_the_retention_is_no_gap(stage: Stage) -> None:
    """An outage shorter than the retention: everything is replayed, nothing is declared missing."""
    async with Scenario(stage, platform(rate=100, retention_s=60), network=_QUICK) as it:
        await it.ready()
        await it.flowing(50)
        it.simulator.refuse(5.0)
        it.simulator.abort()
        await it.until(lambda: it.count("refused"), "a refused dial")
        await it.until(it.open_sockets, "a socket again")
        await it.flowing(50)
        await it.finish()
        assert not it.story("positions did not come; asking again")


async def test_platform_that_skips_positions(stage: Stage) -> None:
    """Positions that never come to be: asked for once more, then declared a jump; what came behind them is not lost."""
    async with Scenario(stage, platform(rate=100, token_life_s=8)) as it:
        await it.ready()
        for count in (1, 7):
            await it.flowing(50)
            it.simulator.jump(count)
            await it.flowing(count + 50)
        await it.drained()
        gaps = missed(it, "jump")
        assert [(gap.last or 0) - (gap.first or 0) for gap in gaps] == [0, 6]
        await it.finish(gaps=gaps)


async def test_jump_in_the_overlap(stage: Stage) -> None:
    """A hole that both sockets of a rotation show is declared once."""
    async with Scenario(stage, platform(rate=100, token_life_s=8, open_delay_s=0.4)) as it:
        await it.ready()
        await it.overlap()
        it.simulator.jump(3)
        await it.flowing(100)
        await it.alone()
        await it.drained()
        await it.finish(gaps=missed(it, "jump"))


async def test_hole_while_second_sockets_are_starved(stage: Stage) -> None:
    """They show nothing while the first delivers behind it: two are tried, then one alone asks, and the gap is true."""
    async with Scenario(stage, platform(rate=100, retention_s=600)) as it:
        await it.ready()
        await it.flowing(50)
        before = it.count("opens")
        it.simulator.mute(10.0)
        it.simulator.jump(3)
        await it.until(lambda: it.story("gap recorded"), "the gap")
        assert it.count("opens") - before <= 5
        await it.flowing(50)
        await it.drained()
        await it.finish(gaps=missed(it, "jump"))


async def test_sequence_starts_anew(stage: Stage) -> None:
    """The platform's sequence is reset: a gap record, the next epoch, and every event of both."""
    async with Scenario(stage, platform(rate=100, token_life_s=8)) as it:
        await it.ready()
        await it.flowing(100)
        it.simulator.reset()
        await it.until(lambda: it.position() > (1, 20), "the new sequence")
        await it.rotated(1)
        await it.drained()
        await it.finish(gaps=missed(it, "position_reset"))


@pytest.mark.parametrize("when", ["overlap", "outage"])
async def test_sequence_starts_anew_at_a_bad_moment(stage: Stage, when: str) -> None:
    """The reset comes while two sockets are open, or while none is."""
    async with Scenario(stage, platform(rate=100, token_life_s=8, open_delay_s=0.4), network=_QUICK) as it:
        await it.ready()
        await it.flowing(100)
        if when == "overlap":
            await it.overlap()
            it.simulator.reset()
        else:
            it.simulator.refuse(1.5)
            it.simulator.abort()
            await it.until(lambda: not it.open_sockets(), "no socket")
            it.simulator.reset()
        await it.until(lambda: it.position() > (1, 20), "the new sequence")
        await it.drained()
        await it.finish(gaps=missed(it, "position_reset"))


async def test_duplicates_from_the_platform(stage: Stage) -> None:
    """Events that the platform sends again, in mid-stream and in an overlap, are dropped."""
    async with Scenario(stage, platform(rate=200, token_life_s=5, open_delay_s=0.4)) as it:
        await it.ready()
        for count in (1, 50, 500):
            await it.flowing(100)
            it.simulator.duplicate(count)
            await it.overlap()
            it.simulator.duplicate(count)
            await it.alone()
        await it.finish()
        assert sum(record.frames_aside for record in it.sockets()) > 0
