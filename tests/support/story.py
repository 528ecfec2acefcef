"""A stream's connection told in words: each word is a fact, and time passes only where a word says so.

    Story("token opened caught_up newer due opened")

A number lets so many seconds pass, with every tick that falls due; ``due`` waits for the next one; ``fails429:7`` comes
with a Retry-After. Sockets are named by their part: the *active* one delivers, the *new* one overlaps or is being
dialled. Tokens live an hour (``brief``: 20 s, ``worn``: not at all, ``opaque``: nobody knows), their buffer is 8 s,
jitter is none.
"""

from __future__ import annotations

from random import Random

from connector.core.handover import Handover
from connector.core.reconnect import NetworkPolicy
from connector.core.states import Close, Command, Dial, Policy, State
from connector.core.steps import HoleState
from connector.model import DialFailure, FailureKind, Token

POLICY = Policy(NetworkPolicy(breaker_failures=3), jitter_s=(0.0, 0.0), ping_s=20.0, silence_s=60.0)
SEQUENTIAL = Policy(NetworkPolicy(breaker_failures=3), jitter_s=(0.0, 0.0), overlap=False)
START_S = 1000.0
_LIVES_S: dict[str, float | None] = {"token": 3600.0, "newer": 3600.0, "brief": 20.0, "worn": -1.0, "opaque": None}
_FAILURES = {
    "fails": FailureKind.NETWORK,
    "fails401": FailureKind.UNAUTHORIZED,
    "fails403": FailureKind.FORBIDDEN,
    "fails409": FailureKind.REJECTED,
    "fails410": FailureKind.EXPIRED_POSITION,
    "fails429": FailureKind.THROTTLED,
}
_CODES = {"dropped": 1006, "expires": 1008, "leaves": 1001}
_AWHILE_S = {"soon": 0.3, "second": 1.0, "later": 3.0, "minute": 60.0, "hour": 3600.0}
"""Without a tick: the caller's timer is late."""
_ARRIVALS = {"event", "leaving", "new_event", "new_duplicate", "caught_up", "pong"}
_HOLES = {"whole": HoleState.NONE, "waiting": HoleState.WAIT, "suspected": HoleState.PROBE}


class Story:
    """Tells a machine the words, and keeps what it answered to each."""

    def __init__(self, words: str, policy: Policy = POLICY) -> None:
        self.now = START_S
        self.handover = Handover(policy, Random(1), self.now)
        self.tokens = 0
        self.open: list[int] = []
        self.dialled: int | None = None
        self.commands: list[Command] = []
        self.log: list[tuple[float, Command]] = []
        self.before = self.handover.state
        for word in words.split():
            self.tell(word)

    @property
    def state(self) -> State:
        """Where the machine stands."""
        return self.handover.state

    def tell(self, word: str) -> list[Command]:
        """One word; returns the commands that answer it."""
        self.before = self.handover.state
        self.commands = []
        self.execute(self._answer(word))
        return self.commands

    def execute(self, commands: list[Command]) -> None:
        """As the caller would."""
        self.commands = self.commands + commands
        self.log += [(round(self.now - START_S, 6), command) for command in commands]
        for command in commands:
            if isinstance(command, Dial):
                self.dialled = command.socket
            elif isinstance(command, Close):
                self._gone(command.socket)

    def dials(self) -> list[tuple[float, int]]:
        """When it dialled, in seconds since the beginning, and with which generation."""
        return [(at, command.token.generation) for at, command in self.log if isinstance(command, Dial)]

    def _answer(self, word: str) -> list[Command]:
        machine = self.handover
        if word in _LIVES_S:
            return self._token(_LIVES_S[word])
        if word == "opened":
            socket, self.dialled = self.dialled or 0, None
            self.open.append(socket)
            return machine.opened(socket, self.now)
        if word.startswith("fails"):
            return self._fails(*word.split(":"))
        if word.removeprefix("new_") in _CODES:
            socket = self.open[-1] if word.startswith("new_") else self.open[0]
            self._gone(socket)
            return machine.closed(socket, _CODES[word.removeprefix("new_")], self.now)
        if word in _HOLES:
            return machine.hole_changed(_HOLES[word], self.now)
        return self._arrives(word) if word in _ARRIVALS else self._passes(word)

    def _token(self, life_s: float | None) -> list[Command]:
        self.tokens += 1
        expires_at_s = None if life_s is None else self.now + life_s
        return self.handover.token_ready(Token("t", self.tokens, self.now, expires_at_s, 8.0), self.now)

    def _fails(self, word: str, retry_after_s: str | None = None) -> list[Command]:
        socket, self.dialled = self.dialled or 0, None
        told = DialFailure(_FAILURES[word], word, None, None if retry_after_s is None else float(retry_after_s))
        return self.handover.dial_failed(socket, told, self.now)

    def _arrives(self, word: str) -> list[Command]:
        machine = self.handover
        socket = self.open[-1] if word in {"new_event", "new_duplicate", "caught_up"} else self.open[0]
        if word == "leaving":
            return machine.leaving(socket, self.now)
        if word == "pong":
            return machine.heard(socket, self.now)
        fresh, hole = word != "new_duplicate", machine._hole  # noqa: SLF001 - what it was told last
        return machine.progressed(socket, self.now, fresh=fresh, caught_up=word == "caught_up", hole=hole)

    def _passes(self, word: str) -> list[Command]:
        machine = self.handover
        if word == "pause":
            return machine.pause(self.now)
        if word == "resume":
            machine.resume(self.now)
            return []
        if word == "due":
            self.now = max(self.now, machine.deadline() or self.now)
            return machine.tick(self.now)
        if word in _AWHILE_S:
            self.now += _AWHILE_S[word]
            return []
        until = self.now + float(word)
        while (deadline := machine.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.execute(machine.tick(self.now))
        self.now = until
        return []

    def _gone(self, socket: int) -> None:
        if socket in self.open:
            self.open.remove(socket)
        if self.dialled == socket:
            self.dialled = None
