"""Workers that share an OAuth client, on a clock and a shelf of the test's own: who asks, who adopts, who waits."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from connector.auth.events import TokenGranted, TokenRequestFailed
from connector.auth.service import TokenService
from connector.auth.sharing import SharedClient
from connector.core.sharing import JITTER_S, LOCK_S
from connector.core.token_clock import Grant
from connector.errors import TokenError
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeStore, Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connector.auth.events import TokenEvent

LIFE_S, BUFFER_S = 1000.0, 300.0
EPOCH_S = 1_700_000_000.0


class Endpoint:
    """The OAuth server of all workers."""

    def __init__(self, clock: FakeClock) -> None:
        self.asked: list[float] = []
        self.errors: list[TokenError] = []
        self.fixed: str | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._clock = clock

    async def request_token(self) -> Grant:
        """A new token, or the error that the test has queued."""
        sent_s = self._clock.now()
        self.asked.append(sent_s)
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        date_s = EPOCH_S + sent_s
        return Grant(self.fixed or f"t{len(self.asked)}", sent_s, LIFE_S, date_s, date_s + LIFE_S, date_s)


class Worker:
    """One worker's token service, and what its stream saw."""

    def __init__(self, site: Site, name: str, *, revokes: bool, endpoint: Endpoint, credential: str) -> None:
        store = FakeStore(site.shelf, site.clock, name, credential)
        client = SharedClient(endpoint, store, site.clock, Random(name))
        self.tokens: list[str] = []
        self.events: list[TokenEvent] = []
        self.service = TokenService(
            client,
            clock=site.clock,
            rng=Random(name),
            buffer_s=BUFFER_S,
            name=name,
            reissue="revokes" if revokes else "keeps",
            on_event=self.events.append,
        )
        site.shelf.readers.append(client.published)
        client.listen(self.service.published)

    def use(self) -> None:
        """A stream takes tokens from now on."""
        self.service.lease(lambda token: self.tokens.append(token.value))

    def shared(self) -> list[bool]:
        """Of each token whether another worker had asked for it."""
        return [event.shared for event in self.events if isinstance(event, TokenGranted)]


class Site:
    """Workers, their clock and what they share."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shelf = Shelf()
        self.endpoint = Endpoint(self.clock)
        self.running: list[asyncio.Task[None]] = []

    async def workers(
        self, number: int, *, revokes: bool = False, endpoint: Endpoint | None = None, credential: str = ""
    ) -> list[Worker]:
        """So many workers, each with a stream; ``endpoint``: what the OAuth server is to who has this credential."""
        names = [f"w{len(self.running) + n}" for n in range(number)]
        at = endpoint or self.endpoint
        made = [Worker(self, name, revokes=revokes, endpoint=at, credential=credential) for name in names]
        self.running += [asyncio.create_task(worker.service.run()) for worker in made]
        for worker in made:
            worker.use()
        await self.settle()
        return made

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def pass_s(self, seconds: float, step_s: float = 0.1) -> None:
        """Let time go by in small steps."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            await self.settle()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site whose workers end with the test."""
    made = Site()
    yield made
    for task in made.running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_one_grant_at_a_start_for_all(site: Site) -> None:
    """Twenty workers begin at the same instant: one asks, at once; the others get its token."""
    workers = await site.workers(20)
    assert site.endpoint.asked == [1000.0]
    assert all(worker.tokens == ["t1"] for worker in workers)
    assert sorted(worker.shared() == [True] for worker in workers) == [False] + [True] * 19


async def test_one_grant_for_each_lifetime(site: Site) -> None:
    """The refresh comes within the jitter after its instant; the shared schedule is the asker's own."""
    workers = await site.workers(5)
    for lifetime in range(3):
        await site.pass_s(700.0 + 2 * JITTER_S, step_s=0.5)
        assert len(site.endpoint.asked) == 2 + lifetime
    assert all(worker.tokens == ["t1", "t2", "t3", "t4"] for worker in workers)
    gaps = [later - sooner for sooner, later in zip(site.endpoint.asked, site.endpoint.asked[1:], strict=False)]
    assert all(700.0 <= gap <= 700.0 + JITTER_S + 0.5 for gap in gaps)


async def test_who_starts_later_adopts(site: Site) -> None:
    """With the platform's clock as far on as it is, and a refresh when the others have theirs."""
    (first,) = await site.workers(1)
    await site.pass_s(400.0, step_s=10.0)
    (late,) = await site.workers(1)
    assert (late.tokens, len(site.endpoint.asked)) == (["t1"], 1)
    assert late.service.platform_time_ms() == first.service.platform_time_ms() == (EPOCH_S + 1400.0) * 1000
    event = late.events[0]
    assert isinstance(event, TokenGranted)
    assert (event.lifetime_s, event.refresh_in_s) == (LIFE_S, 300.0)


async def test_a_dead_token_is_refreshed_once_and_by_nobody_adopted(site: Site) -> None:
    """All report it, one asks without any jitter; a worker that starts in between does not get the dead one."""
    workers = await site.workers(5)
    site.endpoint.open.clear()
    for worker in workers:
        worker.service.report_dead(1)
    await site.settle()
    (late,) = await site.workers(1)
    assert len(site.endpoint.asked) == 2
    assert late.tokens == []
    site.endpoint.open.set()
    await site.settle()
    assert site.endpoint.asked == [1000.0, 1000.0]
    assert all(worker.tokens == ["t1", "t2"] for worker in workers)
    assert late.tokens == ["t2"]


async def test_a_death_that_one_worker_saw_does_not_disturb_the_others(site: Site) -> None:
    """Who has a live token keeps it until its own refresh is due, and finds the newer one then."""
    one, other = await site.workers(2)
    one.service.report_dead(1)
    await site.settle()
    assert (one.tokens, other.tokens) == (["t1", "t2"], ["t1"])
    await site.pass_s(700.0, step_s=1.0)
    assert len(site.endpoint.asked) == 2 or other.tokens != ["t1"]
    await site.pass_s(2 * JITTER_S)
    assert other.tokens[1] in ("t2", "t3")
    assert len(site.endpoint.asked) <= 3


async def test_a_server_that_revokes_is_followed_at_once(site: Site) -> None:
    """Whoever gets a new token ends the others': they have it in the same instant, without a request."""
    workers = await site.workers(5, revokes=True)
    workers[0].service.report_dead(1)
    await site.settle()
    assert all(worker.tokens == ["t1", "t2"] for worker in workers)
    assert len(site.endpoint.asked) == 2


async def test_a_failure_pauses_all(site: Site) -> None:
    """Retry-After, told to one, is obeyed by all; then one asks again."""
    site.endpoint.errors = [TokenError("slow down", status=429, retry_after_s=20.0)]
    workers = await site.workers(10)
    await site.pass_s(19.9)
    assert site.endpoint.asked == [1000.0]
    failed = [event for worker in workers for event in worker.events if isinstance(event, TokenRequestFailed)]
    assert sorted(event.asked for event in failed) == [False] * 9 + [True]
    await site.pass_s(40.0)
    assert len(site.endpoint.asked) == 2
    assert all(worker.tokens == ["t2"] for worker in workers)


async def test_workers_with_a_former_secret_take_tokens_and_keep_nobody_from_asking(site: Site) -> None:
    """While a secret is rotated: theirs is refused to one of them, whose is good asks at once, and all have it."""
    former = Endpoint(site.clock)
    former.errors = [TokenError("invalid_client", status=401, retry_after_s=60.0) for _ in range(100)]
    refused = await site.workers(10, endpoint=former, credential="former")
    assert len(former.asked) == 1
    (good,) = await site.workers(1)
    assert good.tokens == ["t1"]
    assert all(worker.tokens == ["t1"] for worker in refused), "at once, whatever they were waiting for"
    await site.pass_s(LIFE_S - 1.0, step_s=0.5)
    assert all(worker.tokens == ["t1", "t2"] for worker in [good, *refused]), "before the former one is over"
    assert len(former.asked) <= 4


async def test_a_failing_endpoint_is_asked_by_one_at_a_time(site: Site) -> None:
    """Ten workers in an emergency ask no more than once a second together."""
    site.endpoint.errors = [TokenError("down", status=503) for _ in range(100)]
    await site.workers(10)
    await site.pass_s(20.0)
    asked = site.endpoint.asked
    assert 4 <= len(asked) <= 21
    assert all(later - sooner >= 0.99 for sooner, later in itertools.pairwise(asked))


async def test_the_same_token_again_is_asked_for_by_one_at_a_time(site: Site) -> None:
    """A server that caches: its old token is neither stored anew nor asked for by all."""
    site.endpoint.fixed = "cached"
    await site.workers(10)
    await site.pass_s(703.0, step_s=0.5)
    assert len(site.endpoint.asked) <= 5


async def test_away_each_asks_for_itself_and_comes_back(site: Site) -> None:
    """Without the store: within the jitter, not all at once; with it again, one for all."""
    site.shelf.away = True
    workers = await site.workers(10)
    assert site.endpoint.asked == []
    await site.pass_s(JITTER_S)
    assert len(site.endpoint.asked) == 10
    assert len(set(site.endpoint.asked)) > 5
    site.shelf.away = False
    await site.pass_s(700.0 + 2 * JITTER_S, step_s=0.5)
    assert len(site.endpoint.asked) == 11
    assert len({worker.tokens[-1] for worker in workers}) == 1


async def test_away_with_a_live_token_nobody_storms(site: Site) -> None:
    """A scheduled refresh without the store is spread over a third of what the old token has left."""
    await site.workers(10)
    site.shelf.away = True
    await site.pass_s(700.0, step_s=10.0)
    assert len(site.endpoint.asked) == 1
    await site.pass_s(100.0, step_s=0.5)
    asked = sorted(site.endpoint.asked[1:])
    assert len(set(asked)) == 10
    assert asked[-1] - asked[0] > 30.0


async def test_away_and_dead_while_it_bides_its_time(site: Site) -> None:
    """An emergency cuts the pause short."""
    (worker,) = await site.workers(1)
    site.shelf.away = True
    await site.pass_s(700.0, step_s=10.0)
    await site.pass_s(1.0)
    assert worker.tokens == ["t1"]
    worker.service.report_dead(1)
    await site.pass_s(1.0)
    assert worker.tokens == ["t1", "t2"]


async def test_lost_while_asking(site: Site) -> None:
    """The answer is used, though nobody else gets it."""
    site.endpoint.open.clear()
    (worker,) = await site.workers(1)
    site.shelf.away = True
    site.endpoint.open.set()
    await site.settle()
    assert worker.tokens == ["t1"]


async def test_a_worker_that_dies_with_the_lock_costs_one_lock(site: Site) -> None:
    """Its lock ends by itself; the next one asks."""
    site.shelf.lock = ("dead", site.clock.now() + LOCK_S)
    (worker,) = await site.workers(1)
    site.clock.advance(LOCK_S)
    site.shelf.publish("")
    await site.settle()
    assert (worker.tokens, site.endpoint.asked) == (["t1"], [1000.0 + LOCK_S])


async def test_waiting_ends_before_the_token_does(site: Site) -> None:
    """Whose token is about to die asks for itself, whoever has the lock."""
    (worker,) = await site.workers(1)
    await site.pass_s(700.0, step_s=10.0)
    site.shelf.lock = ("slow", site.clock.now() + 1e6)
    for _ in range(40):
        await site.pass_s(0.5)
        site.shelf.publish("")
    await site.pass_s(100.0, step_s=1.0)
    assert worker.tokens == ["t1", "t2"]


async def test_stopped_while_asking_it_lets_go_of_the_lock(site: Site) -> None:
    """A worker that is stopped costs the others a moment at most."""
    site.endpoint.open.clear()
    await site.workers(1)
    assert site.shelf.lock is not None
    site.running[0].cancel()
    await site.settle()
    assert site.shelf.lock == ("", 1001.0)
