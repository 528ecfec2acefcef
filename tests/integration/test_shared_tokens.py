"""Workers that share tokens through a real Redis, and what becomes of them when Redis is in trouble."""

from __future__ import annotations

import asyncio
import base64
import os
import random
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
import trustme
from redis import Redis

from connector.auth.redis_link import RedisLink, RedisPlan
from connector.clock import BootClock
from tests.support.fleet import say
from tests.support.redis_server import OwnRedis, own_redis
from tests.support.seed import SEED
from tests.support.token_fleet import Fleet, fleet

pytestmark = pytest.mark.tools

LIFE_S = 5.0
MANY = 20
APART_S = 0.2  # the OAuth server refuses requests of a client that are closer together
TROUBLES = int(os.environ.get("CCAAS_TEST_TROUBLES", "5"))
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis to be hurt."""
    with own_redis(tmp_path / "redis") as server:
        yield server


def admin(redis: OwnRedis) -> Redis:
    """A client of the test's own."""
    return Redis.from_url(redis.url)


async def keys_of(its: Fleet, redis: OwnRedis) -> list[str]:
    """The fleet's keys but for probes and locks."""
    with closing(admin(redis)) as client:
        found = await asyncio.to_thread(lambda: list(client.scan_iter(f"{its.name}:token:v1:*")))
    names = [key.decode() if isinstance(key, bytes) else str(key) for key in found]
    return [name for name in names if not name.endswith(":lock")]


async def a_lifetime(its: Fleet, workers: int, grants: int = 1) -> None:
    """Return once every worker has one more token, which took the OAuth server so many grants."""
    before, had = its.count("tokens"), [len(worker.tokens) for worker in its.workers]
    await its.until(
        lambda: all(len(worker.tokens) > count for worker, count in zip(its.workers, had, strict=True)), "a token more"
    )
    await asyncio.sleep(0.5)
    assert its.count("tokens") - before == grants
    assert len(its.values()) == (1 if grants == 1 else workers)


async def test_twenty_workers_one_grant_a_lifetime(redis: OwnRedis) -> None:
    """At the start, at every refresh and in an emergency: one request for all, none refused, nobody without."""
    async with fleet(token_life_s=LIFE_S, token_burst_s=APART_S) as its:
        await its.start(MANY, {"url": redis.url})
        await its.all_have(1)
        assert its.count("tokens") == 1
        for _ in range(2):
            await a_lifetime(its, MANY)
        its.simulator.expire_tokens()
        for worker in its.workers:
            worker.report_dead()
        await a_lifetime(its, MANY)
        late = await its.start(3, {"url": redis.url})
        await its.until(lambda: all(worker.tokens for worker in late), "a token for who starts later")
        assert its.count("tokens") == 4
        assert its.count("token_429") == 0
        assert sum(worker.late for worker in its.workers) == 0
        assert sum(worker.had("granted") for worker in its.workers) == 4


async def test_a_client_secret_is_rotated(redis: OwnRedis) -> None:
    """Workers that still have the old one live on the others' tokens, and do not keep those from asking."""
    async with fleet(token_life_s=LIFE_S, token_burst_s=APART_S) as its:
        await its.start(15, {"url": redis.url}, {"client_secret": "the former one"})
        await asyncio.sleep(3.0)
        refused = its.count("token_errors")
        assert 1 <= refused <= 6, "of fifteen, one at a time, a second or more apart"
        await its.start(2, {"url": redis.url})
        await its.all_have(1)
        for _ in range(2):
            await a_lifetime(its, 17)
        assert its.count("tokens") == 3
        assert its.count("token_429") == 0
        assert sum(worker.late for worker in its.workers) == 0
        say(f"{its.count('token_errors') - refused} of those with the former secret were refused meanwhile")


async def test_redis_killed_and_restarted(redis: OwnRedis) -> None:
    """Each refreshes for itself meanwhile, spread out and in time, and they share again by themselves."""
    async with fleet(token_life_s=LIFE_S) as its:
        await its.start(5, {"url": redis.url})
        await its.all_have(1)
        redis.kill()
        await its.all_share(shares=False)
        await a_lifetime(its, 5, grants=5)
        redis.start()
        await its.all_share()
        await its.until(lambda: len(its.values()) == 1, "one token for all")
        await a_lifetime(its, 5)
        assert sum(worker.late for worker in its.workers) == 0


async def test_redis_frozen(redis: OwnRedis) -> None:
    """Its connections stay and nothing is answered: no token is late for it."""
    async with fleet(token_life_s=LIFE_S) as its:
        await its.start(5, {"url": redis.url})
        await its.all_have(1)
        redis.freeze()
        await its.all_have(3)
        assert not any(worker.shares for worker in its.workers)
        redis.thaw()
        await its.all_share()
        await its.until(lambda: len(its.values()) == 1, "one token for all")
        await a_lifetime(its, 5)
        assert sum(worker.late for worker in its.workers) == 0


async def test_redis_emptied(redis: OwnRedis) -> None:
    """Nobody needs what was there."""
    async with fleet(token_life_s=LIFE_S) as its:
        await its.start(5, {"url": redis.url})
        await its.all_have(1)
        with closing(admin(redis)) as client:
            await asyncio.to_thread(client.flushall)
        await a_lifetime(its, 5)


async def test_away_at_the_start(redis: OwnRedis) -> None:
    """A worker that has never seen Redis asks for itself, and shares once it is there."""
    redis.kill()
    async with fleet(token_life_s=LIFE_S, token_burst_s=APART_S) as its:
        await its.start(3, {"url": redis.url})
        await its.all_have(1)
        assert its.count("tokens") == 3
        redis.start()
        await its.all_share()
        await its.until(lambda: len(its.values()) == 1, "one token for all")


async def test_wrong_password(redis: OwnRedis) -> None:
    """As if there were no Redis, with a remark that names the setting; put right there, it is used."""
    with closing(admin(redis)) as client:
        await asyncio.to_thread(client.config_set, "requirepass", "right")
        async with fleet(token_life_s=LIFE_S) as its:
            (worker,) = await its.start(1, {"url": redis.url, "password": "wrong"})
            await its.all_have(1)
            (remark,) = worker.clients.remarks()
            assert "refused user or password; check redis.url and redis.password" in remark
            assert "wrong" not in remark
            await asyncio.to_thread(client.config_set, "requirepass", "wrong")
            await its.all_share()


async def test_failing_over(redis: OwnRedis) -> None:
    """The address leads to a read-only replica for a while."""
    with closing(admin(redis)) as client:
        async with fleet(token_life_s=LIFE_S) as its:
            await its.start(3, {"url": redis.url})
            await its.all_have(1)
            await asyncio.to_thread(client.replicaof, "127.0.0.1", "1")
            await its.all_have(2)
            await its.until(
                lambda: all("read-only replica" in "".join(each.clients.remarks()) for each in its.workers), "remarks"
            )
            await asyncio.to_thread(client.replicaof, "NO", "ONE")
            await its.all_share()
            await its.until(lambda: len(its.values()) == 1, "one token for all")
            assert sum(worker.late for worker in its.workers) == 0


@pytest.mark.parametrize("kind", ["text", "list", "without an end", "of another key", "endless lock"])
async def test_a_foreign_value_in_the_key(redis: OwnRedis, kind: str) -> None:
    """Whatever stands where the token or the lock should be: one asks, its token takes the place."""
    with closing(admin(redis)) as client:
        async with fleet(token_life_s=LIFE_S) as its:
            await its.start(1, {"url": redis.url, "encryption_key": KEY})
            await its.all_have(1)
            (key,) = await keys_of(its, redis)
            value = client.get(key)
            assert isinstance(value, bytes)
            client.delete(key)
            match kind:
                case "text":
                    client.set(key, "hello", px=60_000)
                case "list":
                    client.lpush(key, "hello")
                case "without an end":
                    client.set(key, value)
                case "of another key":
                    client.set(key, value[:-1] + bytes([value[-1] ^ 1]), px=4000)
                case _:
                    client.set(f"{key}:lock", "somebody")
            await its.start(2, {"url": redis.url, "encryption_key": KEY})
            await its.all_have(1)
            assert its.count("tokens") == 2
            await its.all_have(2)
            await its.until(lambda: len(its.values()) == 1, "one token for all")
            assert all(worker.shares for worker in its.workers)


async def test_tokens_are_encrypted_at_rest(redis: OwnRedis) -> None:
    """With a key no token is legible; workers with another key, or none, keep to themselves."""
    async with fleet() as its:
        (worker,) = await its.start(1, {"url": redis.url, "encryption_key": KEY})
        await its.all_have(1)
        await its.start(1, {"url": redis.url})
        await its.start(1, {"url": redis.url, "encryption_key": base64.b64encode(b"o" * 32).decode()})
        await its.all_have(1)
        assert its.count("tokens") == 3
        keys = await keys_of(its, redis)
        assert len(keys) == 3
        with closing(admin(redis)) as client:
            values = [client.get(key) for key in keys]
        secret = worker.tokens[0].value.encode()
        assert not [value for value in values if isinstance(value, bytes) and secret in value]
        assert "bridge" not in "".join(keys)


async def test_tls_and_an_acl_user(tmp_path: Path) -> None:
    """With the permissions that the documentation lists and no other; an unknown authority is refused."""
    authority, server_files = trustme.CA(), tmp_path / "server.pem"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(server_files))
    permissions = "on >pass +eval +get +set +del +pttl +publish +subscribe +unsubscribe +ping ~fleet-* &fleet-*"
    options = (
        ("tls-cert-file", str(server_files)),
        ("tls-key-file", str(server_files)),
        ("tls-auth-clients", "no"),
        ("user", "default", "off"),
        ("user", "bridge", *permissions.split()),
    )
    with own_redis(tmp_path / "redis", *options, tls=True) as server:
        url = f"rediss://bridge@localhost:{server.port}/0"
        async with fleet(token_life_s=LIFE_S) as its:
            await its.start(3, {"url": url, "password": "pass", "ca_file": str(tmp_path / "ca.pem")})
            await its.all_have(1)
            assert its.count("tokens") == 1
            await a_lifetime(its, 3)
            assert all(worker.shares for worker in its.workers)
            (stranger,) = await its.start(1, {"url": url, "password": "pass"})
            await its.until(lambda: stranger.tokens, "a token of its own")
            assert "CERTIFICATE_VERIFY_FAILED" in stranger.clients.remarks()[0]


async def test_a_server_that_revokes(redis: OwnRedis) -> None:
    """The old token dies for all with each refresh: all follow in the same moment, by one grant."""
    async with fleet(token_life_s=LIFE_S, reissue="revokes") as its:
        await its.start(5, {"url": redis.url}, {"reissue": "revokes"})
        await its.all_have(1)
        for _ in range(2):
            await a_lifetime(its, 5)
        its.workers[0].report_dead()
        await a_lifetime(its, 5)
        assert its.count("tokens") == 4


async def test_an_endpoint_in_trouble(redis: OwnRedis) -> None:
    """Retry-After, told to one, is obeyed by all; the old token lives on, and one grant ends it."""
    async with fleet(token_life_s=LIFE_S) as its:
        await its.start(5, {"url": redis.url})
        await its.all_have(1)
        its.simulator.token_trouble("429", requests=1, retry_after_s=1.0)
        await a_lifetime(its, 5)
        assert its.count("token_429") == 1
        assert sum(worker.late for worker in its.workers) == 0
        assert sum(worker.had("http_429") for worker in its.workers) == 1


async def test_random_trouble_of_redis(redis: OwnRedis) -> None:
    """Killed, frozen, emptied, at random instants: no token of twenty workers is ever late."""
    rng = random.Random(SEED)
    async with fleet(token_life_s=LIFE_S) as its:
        await its.start(MANY, {"url": redis.url})
        await its.all_have(1)
        with closing(admin(redis)) as client:
            for _ in range(TROUBLES):
                match rng.choice(["kill", "freeze", "empty"]):
                    case "kill":
                        await asyncio.to_thread(redis.kill)
                        await asyncio.sleep(rng.uniform(0.1, 4.0))
                        await asyncio.to_thread(redis.start)
                    case "freeze":
                        redis.freeze()
                        await asyncio.sleep(rng.uniform(0.1, 4.0))
                        redis.thaw()
                    case _:
                        await asyncio.to_thread(client.flushall)
                await asyncio.sleep(rng.uniform(0.0, 3.0))
        await its.all_share()
        await its.until(lambda: len(its.values()) == 1, "one token for all")
        assert sum(worker.late for worker in its.workers) == 0


async def test_a_platform_that_comes_while_the_worker_runs(redis: OwnRedis) -> None:
    """Its channel is heard too, without another connection."""
    heard: list[str] = []
    up = asyncio.Event()
    its = RedisPlan(redis.url).client()
    link = RedisLink(its, BootClock(), Random(1), "probe", lambda _up: up.set())
    link.listen("first", heard.append)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(20):
        await up.wait()
        link.listen("later", heard.append)
        with closing(admin(redis)) as client:
            while await asyncio.to_thread(client.publish, "later", "news") == 0:  # noqa: ASYNC110 - nobody listens yet
                await asyncio.sleep(0.1)
        while heard != ["news"]:  # noqa: ASYNC110 - the link fills a list
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await its.aclose()
