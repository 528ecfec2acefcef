"""The prerequisite of shared tokens: Redis answers, and lets this user in."""

from __future__ import annotations

from contextlib import suppress

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from connector.auth.redis_link import RedisPlan
from connector.core.finding import Finding, fails, ok

_TITLE = "redis"


async def check_redis(plan: RedisPlan) -> Finding:
    """Ask it for an answer; the texts hold no part of its URL."""
    client = plan.client()
    try:
        await client.ping()
    except (AuthenticationError, NoPermissionError) as error:
        return fails(_TITLE, f"refuses the user ({type(error).__name__})", "check user and password, and Redis' ACL")
    except (RedisError, OSError) as error:
        mend = "check redis.url, firewall and TLS; meanwhile each worker asks for tokens of its own"
        return fails(_TITLE, f"does not answer ({type(error).__name__})", mend)
    finally:
        with suppress(RedisError, OSError):
            await client.aclose()
    return ok(_TITLE, "answers")
