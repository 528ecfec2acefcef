"""One OAuth client's token in Redis: a value, a lock beside it and a channel of the same name.

The value is ``{fingerprint}:{sealed grant}`` and lives as long as its token. What is not of this form, has no end or
cannot be opened counts as nothing, and is overwritten by the next token. Each operation is one script, so atomic.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from connector.core.sharing import LOCK_S, Lock, Seen, credential_mark, fingerprint, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.auth.redis_link import RedisLink
    from connector.auth.sealing import Seal
    from connector.core.token_clock import Grant

_PAUSED = b"paused"
_REFUSED = "refused:"
_VERSION = "v1"  # of the value; another version has names of its own
_ROUNDS = 100_000

_LOOK = """
local lock, left = redis.pcall('GET', KEYS[2]), redis.call('PTTL', KEYS[2])
if type(lock) == 'string' and string.sub(lock, 1, 8) == 'refused:' and lock ~= ARGV[3] then left = -2 end
if ARGV[1] ~= '' and left < 0 then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  lock, left = ARGV[1], tonumber(ARGV[2])
end
local value = redis.pcall('GET', KEYS[1])
local function text(found) return type(found) == 'string' and found or '' end
return {text(value), redis.call('PTTL', KEYS[1]), text(lock), left}
"""  # a lock without an end is nobody's; nor is another credential's refusal; a value of another type is no value

_KEEP = """
local value, left = redis.pcall('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
local print = type(value) == 'string' and string.match(value, '^(%x+):')
if print == ARGV[1] or (print and #print == 64 and left >= tonumber(ARGV[3])) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"""  # of two tokens the later end stays: a worker that was frozen in its request does no harm

_RELEASE = """
if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[3]) > 0 then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) else redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', KEYS[1], '')
return 1
"""

_BURY = """
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or string.match(value, '^(%x+):') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class TokenKeys(NamedTuple):
    """Names in Redis. ``token`` is a key and a channel; the braces keep both keys on one node of a cluster."""

    token: str
    lock: str


def token_keys(group: str, facts: tuple[str, ...], secrets: tuple[str, ...], salt: bytes) -> TokenKeys:
    """The names for an OAuth client, the same in every worker that would get the same tokens from it.

    ``secrets`` tell clients apart as ``facts`` do, but their digest is slow to make (PBKDF2), so that names are no help
    to guess them. ``salt``: the encryption key; workers with another one keep to themselves.
    """
    digest = hashlib.sha256(salt + "\0".join((group, *facts)).encode())
    if secrets:
        digest.update(hashlib.pbkdf2_hmac("sha256", "\0".join(secrets).encode(), digest.digest(), _ROUNDS))
    stem = f"{group}:token:{_VERSION}:{{{digest.hexdigest()[:32]}}}"
    return TokenKeys(stem, f"{stem}:lock")


class TokenStore:
    """Every method raises :class:`connector.errors.SharingError` where Redis is away.

    ``owner`` names this worker, ``credential`` what it shows the OAuth server: secrets, which are not stored.
    """

    def __init__(self, link: RedisLink, keys: TokenKeys, seal: Seal, owner: str, credential: Sequence[str]) -> None:
        self.keys = keys
        self._link = link
        self._seal = seal
        self._owner = owner
        self._refused = f"{_REFUSED}{credential_mark(keys.token, credential)}".encode()

    async def look(self, now: float, *, take: bool = False) -> Seen:
        """What is there; ``take``: the lock too, if it is free. ``now`` must be from before the call."""
        owner = self._owner if take else ""
        answer = await self._link.call(_LOOK, self.keys, owner, _ms(LOCK_S), self._refused)
        value, left_ms, lock, lock_left_ms = answer
        left_s = left_ms / 1000
        return Seen(self._open(value, left_s, now), left_s, self._lock(lock, lock_left_ms), lock_left_ms / 1000)

    async def keep(self, grant: Grant, now: float) -> None:
        """Store a grant just answered and tell the others, unless a later one is there."""
        packed = pack(grant, now)
        if packed is not None:
            payload, left_s = packed
            mark = fingerprint(grant.token)
            value = f"{mark}:".encode() + self._seal.close(payload, self._place(mark))
            await self._link.call(_KEEP, self.keys, mark, value, _ms(left_s))

    async def release(self, pause_s: float = 0.0, *, refused: bool = False) -> None:
        """Let go of the lock if it is ours; for so long nobody (``refused``: with our credential) is to take it."""
        await self._link.call(_RELEASE, self.keys, self._owner, self._refused if refused else _PAUSED, _ms(pause_s))

    async def bury(self, token: str) -> None:
        """A token turned out dead: nobody is to adopt it."""
        await self._link.call(_BURY, self.keys, fingerprint(token))

    def _open(self, value: bytes, left_s: float, now: float) -> Grant | None:
        name, _, sealed = value.partition(b":")
        payload = self._seal.open(sealed, self._place(name.decode(errors="replace")))
        grant = None if payload is None else unpack(payload, left_s, now)
        return grant if grant is not None and fingerprint(grant.token).encode() == name else None

    def _lock(self, owner: bytes, left_ms: int) -> Lock:
        if left_ms < 0:
            return Lock.FREE
        known = {self._owner.encode(): Lock.OURS, _PAUSED: Lock.PAUSED, self._refused: Lock.PAUSED}
        return known.get(owner, Lock.OTHERS)

    def _place(self, name: str) -> bytes:
        return f"{self.keys.token}:{name}".encode()


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
