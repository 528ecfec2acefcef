"""The contract of :class:`connector.auth.sharing.Store`: the fake, and the one in a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest

from connector.auth.redis_link import RedisLink, RedisPlan
from connector.auth.sealing import Seal
from connector.auth.sharing import Store
from connector.auth.token_store import TokenStore, token_keys
from connector.clock import BootClock
from connector.core.sharing import LOCK_S, Lock, fingerprint
from connector.core.token_clock import Grant
from connector.errors import SharingError
from tests.fakes.store import FakeStore, Shelf
from tests.support.broker import fresh_name
from tests.support.redis_server import shared_redis

CLOCK = BootClock()
LIFE_S = 100.0


class Site:
    """Stores of two workers for the same OAuth client, and what is published there."""

    def __init__(self, make: Callable[[str], Store]) -> None:
        self.ours, self.theirs = make("ours"), make("theirs")
        self.published: list[str] = []

    async def heard(self, *messages: str) -> None:
        """Wait until just these were published."""
        async with asyncio.timeout(5):
            while len(self.published) < len(messages):  # noqa: ASYNC110 - the reader fills a list
                await asyncio.sleep(0.005)
        assert self.published == list(messages)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A Redis for everybody."""
    with shared_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(
    params=[
        "fake",
        pytest.param("redis", marks=pytest.mark.tools),
        pytest.param("redis, sealed", marks=pytest.mark.tools),
    ]
)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Two stores."""
    if request.param == "fake":
        shelf = Shelf()
        made = Site(lambda owner: FakeStore(shelf, CLOCK, owner, owner))
        shelf.readers.append(made.published.append)
        yield made
        return
    client = RedisPlan(request.getfixturevalue("redis_url")).client()
    link = RedisLink(client, CLOCK, Random(1), fresh_name("probe"), lambda _up: None)
    keys = token_keys(fresh_name("group"), ("https://login.example.com", "id"), (), b"")
    seal = Seal(b"k" * 32 if request.param == "redis, sealed" else None)
    made = Site(lambda owner: TokenStore(link, keys, seal, owner, [owner]))
    link.listen(keys.token, made.published.append)
    running = asyncio.create_task(link.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await client.aclose()


def grant(value: str = "a", life_s: float = LIFE_S, ago_s: float = 0.0) -> Grant:
    """A token that was asked for so long ago."""
    return Grant(value, CLOCK.now() - ago_s, life_s, 1_700_000_000.0, None, None)


async def test_nothing_is_there_at_first(site: Site) -> None:
    """No token, a free lock."""
    seen = await site.ours.look(CLOCK.now())
    assert (seen.grant, seen.lock) == (None, Lock.FREE)


async def test_one_worker_has_the_lock(site: Site) -> None:
    """Looking does not take it; who has it may take it again; nobody else can let go of it."""
    await site.theirs.look(CLOCK.now())
    seen = await site.ours.look(CLOCK.now(), take=True)
    assert seen.lock is Lock.OURS
    assert seen.lock_left_s == pytest.approx(LOCK_S, abs=0.5)
    assert (await site.theirs.look(CLOCK.now(), take=True)).lock is Lock.OTHERS
    await site.theirs.release()
    assert (await site.ours.look(CLOCK.now(), take=True)).lock is Lock.OURS
    await site.ours.release()
    assert (await site.theirs.look(CLOCK.now(), take=True)).lock is Lock.OURS
    await site.heard("")


async def test_a_pause_holds_for_everybody(site: Site) -> None:
    """Also for the worker that made it, until it is over."""
    await site.ours.look(CLOCK.now(), take=True)
    await site.ours.release(0.4)
    for store in (site.ours, site.theirs):
        seen = await store.look(CLOCK.now(), take=True)
        assert seen.lock is Lock.PAUSED
        assert 0 < seen.lock_left_s <= 0.4
    await asyncio.sleep(0.45)
    assert (await site.theirs.look(CLOCK.now(), take=True)).lock is Lock.OURS


async def test_a_refused_credential_does_not_keep_another_from_asking(site: Site) -> None:
    """While a secret is rotated; who has the refused one waits, then and while the other asks."""
    await site.ours.look(CLOCK.now(), take=True)
    await site.ours.release(5.0, refused=True)
    assert (await site.ours.look(CLOCK.now(), take=True)).lock is Lock.PAUSED
    assert (await site.theirs.look(CLOCK.now())).lock is Lock.FREE
    assert (await site.theirs.look(CLOCK.now(), take=True)).lock is Lock.OURS
    assert (await site.ours.look(CLOCK.now(), take=True)).lock is Lock.OTHERS
    await site.theirs.release()
    assert (await site.ours.look(CLOCK.now())).lock is Lock.FREE


async def test_a_token_is_read_with_the_rest_of_its_life(site: Site) -> None:
    """It was sent as long ago on the reader's clock as on the writer's; its facts are the server's."""
    kept = grant(ago_s=40.0)
    await site.ours.keep(kept, CLOCK.now())
    seen = await site.theirs.look(CLOCK.now())
    assert seen.grant is not None
    assert (seen.grant.token, seen.grant.expires_in_s, seen.grant.date_s) == ("a", LIFE_S, kept.date_s)
    assert seen.left_s == pytest.approx(60.0, abs=0.5)
    assert seen.grant.sent_at_s == pytest.approx(kept.sent_at_s, abs=0.5)
    await site.heard(fingerprint("a"))


async def test_of_two_tokens_the_later_end_stays(site: Site) -> None:
    """A worker that was frozen in its request does not overwrite what came after; the same token is not renewed."""
    await site.ours.keep(grant("new"), CLOCK.now())
    await site.theirs.keep(grant("old", ago_s=50.0), CLOCK.now())
    await site.theirs.keep(grant("new", life_s=500.0), CLOCK.now())
    seen = await site.theirs.look(CLOCK.now())
    assert seen.grant is not None
    assert seen.grant.token == "new"
    assert seen.left_s == pytest.approx(LIFE_S, abs=0.5)
    await site.ours.keep(grant("newer", life_s=200.0), CLOCK.now())
    await site.heard(fingerprint("new"), fingerprint("newer"))


async def test_a_dead_token_is_buried_and_no_other(site: Site) -> None:
    """By itself, not by its number."""
    await site.ours.keep(grant("a"), CLOCK.now())
    await site.theirs.bury("b")
    assert (await site.ours.look(CLOCK.now())).grant is not None
    await site.theirs.bury("a")
    assert (await site.ours.look(CLOCK.now())).grant is None


async def test_a_token_ends_with_its_life(site: Site) -> None:
    """Nobody has to remove it."""
    await site.ours.keep(grant("a", life_s=1.3), CLOCK.now())
    assert (await site.ours.look(CLOCK.now())).grant is not None
    await asyncio.sleep(1.35)
    assert (await site.ours.look(CLOCK.now())).grant is None


async def test_away_is_an_error_of_its_own(tmp_path: Path) -> None:
    """Both say it with the same exception."""
    shelf = Shelf(away=True)
    with pytest.raises(SharingError):
        await FakeStore(shelf, CLOCK, "w").look(0.0)
    client = RedisPlan(f"unix://{tmp_path}/none").client()
    link = RedisLink(client, CLOCK, Random(1), "probe", lambda _up: None)
    running = asyncio.create_task(link.run())
    with pytest.raises(SharingError, match=r"check redis\.url"):
        await TokenStore(link, token_keys("g", (), (), b""), Seal(None), "w", []).look(0.0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await client.aclose()
