"""Token rotation on real Kafka and over real sockets: readers cannot tell that a token was ever replaced (P5)."""

from __future__ import annotations

import itertools
import os
import statistics

import pytest

from connector.simulator.session import Ending
from tests.support.scenario import STREAM, Scenario, assert_calm, by_refresh, lag, overlaps_s, platform
from tests.support.stage import Stage
from tests.support.watch import SightFollower

MINUTE_S = float(os.environ.get("CCAAS_TEST_MINUTE_S", "60"))
"""How long the rotation under load goes on."""
LIFE_S = 5.0
SLOW_START_S = 0.4
"""New sockets of some scenarios are silent for so long, so that something can happen in the overlap."""


async def test_rotation_under_load(stage: Stage) -> None:
    """1,000 events/s for a minute with tokens of 5 s: nothing lost, twice or out of order, and no rotation seen."""
    settings = platform(rate=1000, token_life_s=LIFE_S, retention_s=600)
    async with Scenario(stage, settings, commit={}) as it:
        await it.ready()
        await it.flowing(int(1000 * MINUTE_S), timeout_s=MINUTE_S + 60)
        verdicts = await it.finish()
        assert verdicts[STREAM].events >= 1000 * MINUTE_S
        assert_calm(it)
        assert it.refreshed() >= MINUTE_S / LIFE_S
        assert not it.failures("network")


async def test_new_sockets_half_a_second_late(stage: Stage) -> None:
    """New sockets silent for half a second: two are seen open all that time, and never for longer than 2 s."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, open_delay_s=0.5)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert_calm(it)
        assert min(overlaps_s(it.sockets())) >= 0.5


async def test_uncommitted_reader_sees_events_before_the_commit(stage: Stage) -> None:
    """Events are produced as they come, not held for the commit: a read_uncommitted reader is ahead by the linger."""
    async with Scenario(stage, platform(rate=50, token_life_s=LIFE_S), commit={"linger_seconds": 1.0}) as it:
        await it.ready()
        with (
            SightFollower(it.kafka, [it.topic], committed=False) as early,
            SightFollower(it.kafka, [it.topic], committed=True) as late,
        ):
            await it.until(lambda: early.seen and late.seen, "both readers")
            caught_up = max(early.seen.values()) + 0.5
            await it.rotated(1)
            await it.flowing(50)
            await it.until(lambda: len(late.seen) > 200, "200 events seen by both")
            leads = [late.seen[at] - since for at, since in early.seen.items() if at in late.seen and since > caught_up]
        await it.finish()
        assert sum(lead > 0 for lead in leads) > 0.75 * len(leads)
        assert statistics.median(leads) > 0.2


async def test_quiet_stream_rotates(stage: Stage) -> None:
    """A stream without events replaces its token all the same, and the first event afterwards arrives."""
    async with Scenario(stage, platform(rate=0, token_life_s=LIFE_S)) as it:
        await it.ready()
        it.simulator.push(3)
        await it.committed()
        await it.rotated(3)
        it.simulator.push(5)
        await it.committed()
        await it.finish()
        assert_calm(it)


async def test_mute_new_socket_is_closed_and_dialled_again(stage: Stage) -> None:
    """A new socket that sends nothing while the old one does is the one that goes; another try succeeds in time."""
    async with Scenario(stage, platform(rate=100, token_life_s=8)) as it:
        await it.ready()
        tokens = it.count("tokens")
        await it.until(lambda: it.count("tokens") > tokens, "a new token")
        it.simulator.mute(1.0, for_life=True)
        await it.rotated(2)
        await it.finish()
        mute = [record for record in it.sockets() if record.sent_events == 0]
        assert len(mute) == 1
        end = mute[0].closed
        assert end is not None
        assert end.by == "client"
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)
        assert max(overlaps_s(it.sockets())) <= 2.0
        assert not it.failures("network")


async def test_new_socket_that_never_catches_up_takes_over_in_time(stage: Stage) -> None:
    """A new socket that delivers, but stays behind the old one, takes over after buffer/2; replay covers the rest."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, open_delay_s=0.2)) as it:
        await it.ready()
        await it.flowing(10)
        for behind_s in (0.25, 0.5):
            _, new = await it.overlap()
            lag(new.session, behind_s)
            await it.alone()
        await it.flowing(200)
        await it.finish()
        assert_calm(it)
        assert len(it.story("rotation done", how="time_up")) >= 2


@pytest.mark.parametrize("how", ["aborted", "1008"])
async def test_old_socket_dies_in_the_overlap(stage: Stage, how: str) -> None:
    """The old socket dying while the new one is open is neither an emergency nor a reason for another dial."""
    async with Scenario(stage, platform(rate=100, token_life_s=8, open_delay_s=SLOW_START_S)) as it:
        await it.ready()
        await it.flowing(10)
        old, new = await it.overlap()
        before = (it.count("opens"), it.count("tokens"))
        if how == "aborted":
            old.abort()
        else:
            old.session.order = Ending(1008, "token expired")
            old.nudge()
        await it.flowing(300)
        assert (it.count("opens"), it.count("tokens")) == before
        assert it.open_sockets() == [new]
        await it.rotated(1)
        await it.finish()
        assert not it.failures("network")
        assert not it.failures("auth")


async def test_both_sockets_die_in_the_overlap(stage: Stage) -> None:
    """With both sockets gone the stream recovers from the network's loss, at the newest position."""
    async with Scenario(stage, platform(rate=100, token_life_s=8, open_delay_s=SLOW_START_S)) as it:
        await it.ready()
        for _ in range(2):
            await it.overlap()
            assert it.simulator.abort() == 2
            await it.until(lambda: len(it.open_sockets()) == 1, "a socket again")
            await it.flowing(20)
        await it.finish()
        assert it.failures("network")


async def test_tcp_aborts_in_rotations(stage: Stage) -> None:
    """Connections reset in the middle of rotations, the old one, the new one or both: nothing lost, nothing twice."""
    async with Scenario(stage, platform(rate=150, token_life_s=LIFE_S, open_delay_s=SLOW_START_S)) as it:
        await it.ready()
        for victims in (slice(1, 2), slice(0, 1), slice(0, 2), slice(1, 2)):
            sockets = list(await it.overlap())
            for victim in sockets[victims]:
                victim.abort()
            await it.flowing(50)
            await it.alone()
        await it.finish()


async def test_second_socket_refused(stage: Stage) -> None:
    """A platform that turns out to refuse a second socket: the cut comes just before the old token dies."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, max_sockets=1)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert it.count("refused")
        assert (it.count("unauthorized"), it.count("expiry_closes")) == (0, 0)


async def test_sequential_handover(stage: Stage) -> None:
    """``handover: sequential``: never a second socket, closed with 1000 and opened again within moments."""
    settings = platform(rate=100, token_life_s=LIFE_S, max_sockets=1)
    async with Scenario(stage, settings, configured={"handover": "sequential"}) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert (it.count("unauthorized"), it.count("expiry_closes"), it.count("refused")) == (0, 0, 0)
        records = it.sockets()
        assert all(map(by_refresh, records[:-1]))
        pauses = [
            after.opened_at_s - before.closed.at_s
            for before, after in itertools.pairwise(records)
            if before.closed is not None
        ]
        assert statistics.median(pauses) <= 0.3


async def test_reissue_revokes_the_old_token(stage: Stage) -> None:
    """A server that kills the old token when it issues the new one: handed over at once, with no storm of tokens."""
    settings = platform(rate=100, token_life_s=LIFE_S, reissue="revokes")
    async with Scenario(stage, settings, configured={"auth": {"reissue": "revokes"}}) as it:
        await it.ready()
        tokens, started_s = it.count("tokens"), it.simulator.world.now()
        await it.until(lambda: it.count("tokens") >= tokens + 4, "four more tokens")
        assert it.simulator.world.now() - started_s > 3 * LIFE_S * 0.6
        await it.finish()
        assert it.count("unauthorized") == 0
        assert not it.failures("network")


@pytest.mark.parametrize("skew_s", [3600, -3600])
async def test_platform_clock_an_hour_off(stage: Stage, skew_s: int) -> None:
    """The platform's clock an hour ahead or behind: tokens are replaced in time, time stamps are clamped."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, clock_skew_s=skew_s)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert_calm(it)


async def test_opaque_token(stage: Stage) -> None:
    """A token without readable claims rotates by ``expires_in``."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, opaque_tokens=True)) as it:
        await it.ready()
        await it.rotated(3)
        await it.finish()
        assert_calm(it)


async def test_opaque_token_of_unknown_life(stage: Stage) -> None:
    """Neither claims nor ``expires_in``: two emergencies teach how long tokens live, then they are replaced in time."""
    settings = platform(rate=100, token_life_s=LIFE_S, opaque_tokens=True, omit_expires_in=True)
    async with Scenario(stage, settings) as it:
        await it.ready()
        await it.rotated(2)
        await it.finish()
        assert it.count("expiry_closes") == 2
        assert not it.failures("network")
        records = it.sockets()
        for before, after in itertools.pairwise(records[:3]):
            assert before.closed is not None
            assert after.opened_at_s - before.closed.at_s < 1.0


async def test_server_that_resumes_at_the_position(stage: Stage) -> None:
    """A server that sends position N again to whoever resumes at N: the ledger drops it."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S, resume="at")) as it:
        await it.ready()
        await it.rotated(2)
        it.simulator.abort()
        await it.flowing(50)
        await it.finish()
