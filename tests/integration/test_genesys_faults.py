"""What Genesys Cloud may do to a stream, at the worst moment: judged by what it told and what stands in Kafka."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from connector.simulator.genesys import GenesysSettings
from tests.support.genesys import GenesysStage
from tests.support.stage import Stage

pytestmark = pytest.mark.asyncio

_QUICK = {"ping_seconds": 0.5, "silence_seconds": 5}
_CHANNELS = "/api/v2/notifications/channels"


def staged(stage: Stage, **properties: Any) -> GenesysStage:  # noqa: ANN401 - the simulator's own settings
    """A worker at an organisation with these properties."""
    return GenesysStage(stage, GenesysSettings(**{"rate": 100, **properties}), platform=_QUICK)


async def tokens(it: GenesysStage, count: int, timeout_s: float = 60.0) -> None:
    """Return once so many more tokens were granted, and the last one's channel had time to take over."""
    wanted = it.cloud.stats()["grants"]["simulator"] + count
    await it.until(lambda: it.cloud.stats()["grants"]["simulator"] >= wanted, f"{count} tokens", timeout_s)
    await asyncio.sleep(1)


def most_alive(it: GenesysStage) -> int:
    """The most channels that the client had at a time."""
    return int(it.cloud.stats()["channels"]["simulator"]["most_alive"])


async def test_fifty_rotations_under_load(alone: Stage) -> None:
    """Whole, whatever the channels' order; the client never has more than four channels."""
    async with staged(alone, token_life_s=4) as it:
        await it.ready()
        begun = it.head() + 1
        it.cloud.reorder(3600)
        await tokens(it, 50, 400)
        (await it.judged(begun)).whole()
        assert most_alive(it) <= 4
        assert it.cloud.stats()["channels"]["simulator"]["evicted"] == 0


async def test_events_of_the_overlap_on_one_channel_only(alone: Stage) -> None:
    """While two channels are open each event comes on one of them: all are written, and once.

    Where such an event belongs among others of its key nobody can say, unless it tells its time.
    """
    async with staged(alone, token_life_s=8) as it:
        await it.ready()
        begun = it.head() + 1
        for _ in range(3):
            await it.until(lambda: len(it.cloud.world.sockets) > 1, "an overlap")
            it.cloud.one_sided(0.4)
            await it.until(lambda: len(it.cloud.world.sockets) == 1, "its end")
        found = await it.judged(begun)
        assert (found.missing, found.duplicated, found.gaps) == ((), (), ())


async def test_one_channel_lags_behind_in_the_overlap(alone: Stage) -> None:
    """What comes late on one channel is not written again, nor behind what follows it."""
    async with staged(alone, token_life_s=6) as it:
        await it.ready()
        begun = it.head() + 1
        it.cloud.delay(3600, 0.4, next(iter(it.cloud.world.sockets)))
        await tokens(it, 4)
        (await it.judged(begun)).whole()


async def test_channel_outlived_by_its_token(alone: Stage) -> None:
    """A channel lives for a day since it was subscribed: it is subscribed again in time, without a gap."""
    platform = {**_QUICK, "names_refresh_seconds": 1}
    async with GenesysStage(alone, GenesysSettings(rate=100, channel_life_s=6), platform=platform) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(14)
        (await it.judged(begun)).whole()


async def test_announced_end_of_a_socket(alone: Stage) -> None:
    """``v2.system.socket_closing``: another channel takes over before it comes."""
    async with staged(alone) as it:
        await it.ready()
        begun = it.head() + 1
        for _ in range(3):
            it.cloud.closing(4)
            await asyncio.sleep(6)
        (await it.judged(begun)).whole()
        assert most_alive(it) <= 4


@pytest.mark.parametrize("fault", ["evict", "expire_channels", "expire_tokens", "revoke_tokens", "abort", "starve"])
async def test_end_without_notice(alone: Stage, fault: str) -> None:
    """What is missing lies in the gap's interval, and the gap is short."""
    async with staged(alone) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(2)
        getattr(it.cloud, fault)()
        stuck = it.head()
        await it.until(lambda: it.head() > stuck + 300, "events again")
        found = await it.judged(begun)
        found.held()
        assert len(found.gaps) == 1
        assert sum(gap.until_ms - gap.since_ms for gap in found.gaps) < 15_000


async def test_kill9_is_a_gap(alone: Stage) -> None:
    """The worker dies and comes back: what happened meanwhile is in the gap's interval, all else is there once."""
    async with staged(alone) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(2)
        await asyncio.to_thread(it.workers[0].kill9)
        await asyncio.sleep(2)
        stuck = it.head()
        await asyncio.to_thread(it.workers[0].start)
        await it.until(lambda: it.head() > stuck + 300, "events again")
        found = await it.judged(begun)
        found.held()
        assert found.missing
        assert [gap.snapshot for gap in found.gaps] == ["done"]


async def test_rest_is_throttled_while_the_token_is_replaced(alone: Stage) -> None:
    """429 with Retry-After for seconds: obeyed, and the old channel serves until the new one stands."""
    async with staged(alone, token_life_s=10) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(4)
        it.cloud.throttle(4)
        await tokens(it, 2)
        (await it.judged(begun)).whole()
        assert it.cloud.stats()["throttled"] < 40


async def test_rest_is_down_while_nothing_else_is(alone: Stage) -> None:
    """A REST API that answers 503, late, or does not know its channels leaves the open socket alone."""
    async with staged(alone) as it:
        await it.ready()
        begun = it.head() + 1
        it.cloud.refuse(3, 503)
        await asyncio.sleep(4)
        it.cloud.delay_requests(3, 2)
        await asyncio.sleep(6)
        (await it.judged(begun)).whole()


async def test_others_use_the_same_client(alone: Stage) -> None:
    """Eighteen channels of another program: the stream's own, with connections, outlive rotations."""
    async with staged(alone, token_life_s=8) as it:
        await it.ready()
        begun = it.head() + 1
        token = next(iter(it.cloud.world.sockets.values())).session.channel.token
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token.value}"}) as other:
            for _ in range(18):
                async with other.post(it.cloud.base_url + _CHANNELS) as answer:
                    assert answer.status == 200
        await tokens(it, 3)
        (await it.judged(begun)).whole()


async def test_channels_only_for_their_own_token(alone: Stage) -> None:
    """Where a newer token may not name an older one's channel, each token has its own."""
    async with staged(alone, token_life_s=6, channel_owner="token", dead_socket="closes") as it:
        await it.ready()
        begun = it.head() + 1
        await tokens(it, 5)
        (await it.judged(begun)).whole()
        assert most_alive(it) <= 4


async def test_token_that_would_be_idle(alone: Stage) -> None:
    """An organisation with an inactivity timeout: the bridge's own requests keep the token alive."""
    async with staged(alone, token_idle_s=5) as it:
        await it.ready()
        begun = it.head() + 1
        await asyncio.sleep(12)
        (await it.judged(begun)).whole()
        assert it.cloud.stats()["grants"]["simulator"] == 1


async def test_queue_that_comes_later(alone: Stage) -> None:
    """A new queue's topics are subscribed without a gap, and its events arrive."""
    platform = {**_QUICK, "names_refresh_seconds": 1}
    async with GenesysStage(alone, GenesysSettings(rate=100, queues=2), platform=platform) as it:
        await it.ready()
        begun = it.head() + 1
        added = it.cloud.add_queue("Night shift")
        await asyncio.sleep(6)
        found = await it.judged(begun)
        assert not found.duplicated
        assert not found.out_of_order
        assert found.gaps == ()
        records = await it.records(it.topic)
        assert any(added.encode() in record.value for record in records)


async def test_noise_and_duplicates_on_the_socket(alone: Stage) -> None:
    """What is sent twice on one socket is written once; what cannot be read is a dead letter, and the rest goes on."""
    async with staged(alone) as it:
        await it.ready()
        begun = it.head() + 1
        for _ in range(5):
            await asyncio.sleep(0.5)
            it.cloud.duplicate(20)
            it.cloud.noise("{")
        (await it.judged(begun)).whole()
