"""A position that a script kept in Redis."""

from __future__ import annotations

import orjson
from redis import Redis
from redis.exceptions import RedisError

from connector.core.pointer import compile_pointer
from connector.errors import ConfigurationError, PrerequisiteError

_ANSWER_S = 5.0
_LARGEST = 2**63 - 1


def read_position(url: str, key: str, field: str) -> int:
    """The position under the key. ``field``: its JSON pointer where the value is a JSON object.

    Raises ``PrerequisiteError`` where Redis does not answer, ``ConfigurationError`` where there is no position. No
    message holds the URL: it may have a password.
    """
    try:
        with Redis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S) as client:
            value = client.get(key)
    except ValueError as error:
        raise ConfigurationError("--redis: should be a redis://, rediss:// or unix:// URL") from error
    except (RedisError, OSError) as error:
        raise PrerequisiteError(f"Redis does not give the key {key} ({type(error).__name__}); check --redis") from error
    if not isinstance(value, bytes):
        raise ConfigurationError(f"--key {key}: Redis has no such key")
    return position_in(value, key, field)


def position_in(value: bytes, key: str, field: str) -> int:
    """The position in a value: an integer, or a JSON object that holds one at ``field``."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        found = compile_pointer(field)(found)
    text = str(found)
    if isinstance(found, bool) or not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
        raise ConfigurationError(f"--key {key}: holds no position: neither an integer nor JSON with one at {field}")
    return int(text)
