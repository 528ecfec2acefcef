"""Tokens in trouble: who still has a live one is not interrupted; who has not, waits without a loop."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator.faults import TokenTroubleKind
from tests.support.scenario import Scenario, assert_calm, platform
from tests.support.stage import Stage

LIFE_S = 6.0
_MOST_DIALS = 8  # of a refused stream within the seconds of a test


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        pytest.param("429", {"retry_after_s": 1.0}, id="429-retry-after-seconds"),
        pytest.param("429", {"retry_after_s": 1.0, "http_date": True}, id="429-retry-after-date"),
        pytest.param("invalid_grant", {"requests": 2}, id="400-invalid-grant"),
        pytest.param("401", {"requests": 2}, id="401"),
        pytest.param("500", {"requests": 2}, id="500"),
        pytest.param("slow", {"delay_s": 0.8}, id="slow"),
        pytest.param("garbage", {"requests": 2}, id="garbage"),
    ],
)
async def test_token_endpoint_in_trouble_while_the_token_lives(
    stage: Stage, kind: TokenTroubleKind, details: dict[str, Any]
) -> None:
    """A refresh that fails is tried again while the old token lives; the stream notices nothing."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S)) as it:
        await it.ready()
        it.simulator.token_trouble(kind, **details)
        await it.rotated(2)
        await it.finish()
        assert_calm(it)
        assert kind == "slow" or it.count("token_429") + it.count("token_errors") == details.get("requests", 1)


async def test_token_request_that_is_never_answered(stage: Stage) -> None:
    """It is given up while the old token lives, the next one is answered, and the stream notices nothing."""
    async with Scenario(stage, platform(rate=100, token_life_s=2 * LIFE_S)) as it:
        await it.ready()
        it.simulator.token_trouble("slow", delay_s=60.0, requests=1)
        await it.rotated(2)
        await it.finish()
        assert_calm(it)
        assert len(it.story("token request failed")) == 1


async def test_token_dies_while_its_endpoint_is_down(stage: Stage) -> None:
    """The stream waits for a token, which is no network failure, and goes on where it was."""
    async with Scenario(stage, platform(rate=100, token_life_s=LIFE_S)) as it:
        await it.ready()
        it.simulator.token_trouble("500", seconds=LIFE_S + 2)
        await it.until(lambda: it.count("expiry_closes"), "the token's death")
        await it.until(lambda: it.story("stream state", state="awaiting_token"), "the state")
        await it.until(it.open_sockets, "a socket again")
        await it.flowing(20)
        await it.finish()
        assert it.count("unauthorized") == 0
        assert not it.failures("network")


async def test_forced_1008_in_mid_stream(stage: Stage) -> None:
    """The platform ends every token: one refresh, one dial at the newest position, no back-off, no network failure."""
    async with Scenario(stage, platform(rate=200)) as it:
        await it.ready()
        for _ in range(3):
            await it.flowing(20)
            before = (it.count("opens"), it.count("tokens"))
            assert it.simulator.expire_tokens() == 1
            await it.opened(before[0] + 1)
            await it.flowing(20)
            assert (it.count("opens"), it.count("tokens")) == (before[0] + 1, before[1] + 1)
        await it.finish()
        assert it.count("unauthorized") == 0
        assert not it.failures("network")


async def test_1008_for_another_reason_than_the_token(stage: Stage) -> None:
    """1008 with a token that still lives (a slow consumer, say): dialled again with a fresh one, and no loop."""
    async with Scenario(stage, platform(rate=200)) as it:
        await it.ready()
        for _ in range(2):
            await it.flowing(20)
            opens = it.count("opens")
            it.simulator.close_sockets(1008, "slow consumer")
            await it.opened(opens + 1)
        await it.flowing(20)
        await it.finish()
        assert it.count("opens") == 3
        assert not it.failures("network")


async def test_fresh_token_refused_with_401(stage: Stage) -> None:
    """401 with a fresh token is a state with a back-off of its own: neither a loop of dials nor a storm of tokens."""
    async with Scenario(stage, platform(rate=50)) as it:
        await it.ready()
        await it.flowing(5)
        tokens = it.count("tokens")
        it.simulator.refuse(8.0, status=401)
        it.simulator.expire_tokens()
        await it.until(lambda: it.story("stream state", state="refused"), "the state refused")
        assert await it.status("/health/ready") == 503
        await it.until(it.open_sockets, "a socket again")
        assert 2 <= it.count("refused") <= _MOST_DIALS
        assert it.count("tokens") - tokens <= _MOST_DIALS + 1
        await it.flowing(20)
        await it.ready()
        await it.finish()
        assert it.failures("auth")
        assert not it.failures("network")


async def test_403_asks_for_no_new_token(stage: Stage) -> None:
    """403 is a permission that is missing: the stream is refused, no token is asked for, and it heals by itself."""
    async with Scenario(stage, platform(rate=50)) as it:
        await it.ready()
        await it.flowing(5)
        tokens = it.count("tokens")
        it.simulator.refuse(6.0, status=403)
        it.simulator.abort()
        await it.until(lambda: it.story("stream state", state="refused"), "the state refused")
        await it.until(it.open_sockets, "a socket again")
        assert 1 <= it.count("refused") <= _MOST_DIALS
        assert it.count("tokens") == tokens
        await it.flowing(20)
        await it.finish()


async def test_token_endpoint_away_at_start(stage: Stage) -> None:
    """Without a token nothing can start, and nothing ends: live, not ready, and ready once there is one."""
    async with Scenario(stage, platform(rate=50, backlog=100), started=False) as it:
        it.simulator.token_trouble("500", requests=3)
        await it.start()
        await it.until(lambda: it.count("token_errors") >= 2, "refused token requests")
        assert await it.status("/health/live") == 200
        assert await it.status("/health/ready") == 503
        await it.ready()
        await it.finish()


async def test_throttled_token_endpoint(stage: Stage) -> None:
    """A platform that answers bursts of token requests with 429: one bridge never gets into that."""
    settings = platform(rate=50, token_life_s=LIFE_S, token_burst_s=2.0)
    streams = [{"name": name} for name in ("a", "b", "c", "d")]
    async with Scenario(stage, settings, *streams) as it:
        await it.ready()
        await it.rotated(2, "a")
        await it.finish()
        assert it.count("token_429") == 0
        for stream in streams:
            assert_calm(it, stream["name"])
