"""A socket as the state machine sees it, and how the overlap of two of them ends (DESIGN.md §5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from connector.core.reconnect import healthy
from connector.core.states import Policy, Why
from connector.core.steps import HoleState
from connector.model import Token, Trouble

OVERLAP_MAX_S = 2.0
QUIET_MAX_S = 1.0
SETTLE_MAX_S = 1.0
"""So long two sockets stay together where nothing is replayed: the old one may still bring what was before the new."""
SILENCE_MAX_S = 10.0
"""A socket that was asked for what is missing and shows nothing for so long, although it lives, has nothing to show: as
long as a platform may take for a handshake. Less where tokens live so short that no socket gets as old."""
CLOSE_ABNORMAL = 1006
SILENT = "silent"
"""The reason of an end that was decided here: no sign of life for too long."""
_CLOSE_NORMALLY = (1000, 1001)
_SILENCE_MIN_S = 1.0
_SIGNS = 10


@dataclass(slots=True)
class Socket:
    """One that is open, or whose dial is under way (``opened_at`` is None).

    ``replaces``: the generation of the socket whose place it is to take; ``sequential``: that one was closed before the
    dial. ``heard_at``: when the peer last gave a sign of life, the handshake not counted; ``event_at``: when it last
    brought something. Silence counts from ``watched_from`` at the earliest. ``silent_s``: how long it has brought
    nothing although it lives. ``leaving``: the platform will close it soon.
    """

    id: int
    token: Token
    why: Why
    replaces: int | None = None
    sequential: bool = False
    opened_at: float | None = None
    heard_at: float | None = None
    event_at: float | None = None
    watched_from: float = 0.0
    ping_at: float = 0.0
    sent_at: float = 0.0
    silent_s: float = 0.0
    leaving: bool = False
    advanced: bool = False
    caught_up: bool = False

    def opened(self, now: float, policy: Policy) -> None:
        """The handshake is done."""
        self.opened_at = self.sent_at = now
        self.watch(now, policy)

    def watch(self, now: float, policy: Policy) -> None:
        """It is read from now on: silence counts."""
        self.watched_from = now
        self.ping_at = now + policy.ping_s
        self.silent_s = 0.0

    def lives(self, now: float) -> None:
        """A sign of life without content. Of a longer pause between two no more counts than the peer answers for."""
        self.silent_s += min(now - self._last_sign(), 2 * self.sign_s)
        self.heard_at = now

    def expect(self, now: float, *, new: bool) -> None:
        """Something is missing that it may show, or will be (``new``): let it say often that it lives."""
        if new:
            self.silent_s = 0.0
        else:
            self.ping_at = min(self.ping_at, now + self.sign_s)

    def pinged(self, now: float, policy: Policy, *, expected: bool) -> None:
        """A ping goes out; ``expected``: something is missing."""
        self.sent_at = now
        self.ping_at = now + (min(policy.ping_s, self.sign_s) if expected else policy.ping_s)

    def brings(self, now: float) -> None:
        """Items arrived."""
        self.heard_at = self.event_at = now
        self.silent_s = 0.0

    @property
    def sign_s(self) -> float:
        """How often it is asked for a sign of life while it is to show what is missing."""
        return self._patience_s / _SIGNS

    @property
    def fell_silent(self) -> bool:
        """Whether what it has not shown by now it will not show."""
        return self.silent_s >= self._patience_s

    def silent_at(self, policy: Policy) -> float:
        """When it will have been silent for too long."""
        return self._last_sign() + policy.silence_s

    def idle_at(self, policy: Policy) -> float:
        """When nothing will have been sent on it for as long as it may be."""
        return inf if policy.keepalive_s is None else self.sent_at + policy.keepalive_s

    def deadline(self, policy: Policy, *, read: bool) -> float:
        """When it wants to be looked at; silence and pings are nothing to a socket that is not ``read``."""
        return min(self.idle_at(policy), *((self.ping_at, self.silent_at(policy)) if read else (inf,)))

    def open_for(self, now: float) -> float:
        """Seconds since the handshake."""
        return 0.0 if self.opened_at is None else max(0.0, now - self.opened_at)

    def healthy(self, now: float) -> bool:
        """Whether it was good for long enough to forget what failed before it."""
        return healthy(self.open_for(now), advanced=self.advanced)

    def expired(self, now: float) -> bool:
        """Whether its token's life is over."""
        return self.token.expires_at_s is not None and now >= self.token.expires_at_s

    def delivers_since(self, other: Socket) -> bool:
        """Whether it has delivered since the other was opened."""
        return self.event_at is not None and other.opened_at is not None and self.event_at >= other.opened_at

    @property
    def _patience_s(self) -> float:
        return min(SILENCE_MAX_S, max(_SILENCE_MIN_S, 2 * self.token.buffer_s))

    def _last_sign(self) -> float:
        return max(self.watched_from, self.heard_at or 0.0)


def ending(code: int, reason: str) -> Trouble:
    """What a socket's end is by its close code (RFC 6455 §7.4); 1006: no close frame came.

    Causes are ``silence``, ``reset`` (TCP ended), ``close_normal`` and ``close_1xxx`` to ``close_4xxx``.
    """
    if code == CLOSE_ABNORMAL:
        cause = "silence" if reason == SILENT else "reset"
    elif code in _CLOSE_NORMALLY:
        cause = "close_normal"
    else:
        cause = f"close_{min(code // 1000, 4)}xxx"
    return Trouble(cause, f"closed {code} {reason}".rstrip())


def overlap_deadline(new: Socket, old: Socket) -> float:
    """When an overlap ends whatever happened; earlier where nothing has happened on the old socket."""
    since, buffer_s = new.watched_from, new.token.buffer_s
    if old.delivers_since(new):
        return since + min(OVERLAP_MAX_S, buffer_s / 2)
    return since + min(QUIET_MAX_S, buffer_s / 8)


def judge_overlap(new: Socket, old: Socket, hole: HoleState, now: float, *, resumes: bool = True) -> str | None:
    """The input that ends the overlap, or None: ``new_silent`` keeps the old socket, any other promotes the new.

    Where the old delivers and a hole waits, the new one may be the one that skipped it: the old is kept.
    """
    settled = resumes or now >= new.watched_from + min(SETTLE_MAX_S, new.token.buffer_s / 4)
    if new.caught_up and settled:
        return "caught_up"
    if now < overlap_deadline(new, old):
        return None
    if new.event_at is None:
        return "new_silent" if old.delivers_since(new) else "quiet"
    return "new_silent" if hole is HoleState.WAIT and old.delivers_since(new) else "time_up"
