"""Every fault and every question, as methods. ``POST /_ctl/<name>`` calls them by name (``http``).

``stream`` None means all streams, also those nobody has named yet. Durations are seconds on the machine's clock.
Return values are JSON-able counts, for the log of whoever asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from connector.simulator import report
from connector.simulator.faults import Refusal, SnapshotTrouble, SnapshotTroubleKind, TokenTroubleKind
from connector.simulator.poison import PoisonKind, PoisonOrder, make_poison
from connector.simulator.session import Ending
from connector.simulator.stream import Item, StreamLog
from connector.simulator.wire import frame
from connector.simulator.world import World

_TEN_YEARS_S = 10 * 365 * 86_400

CONTROLS = (
    "abort", "accept_then_close", "clear", "close_sockets", "delay_open", "duplicate", "expire_tokens", "freeze",
    "jump", "misdate", "mute", "poison", "prepare", "push", "quiet", "refuse", "reset", "snapshot_trouble",
    "token_trouble",
)  # fmt: skip


class Controls:
    """The faults of a platform."""

    def __init__(self, world: World) -> None:
        self.world = world

    # Sockets --------------------------------------------------------------------------------------------------

    def abort(self, stream: str | None = None) -> int:
        """Reset the TCP connections of the open sockets; returns how many."""
        sockets = list(self.world.sockets_of(stream))
        for each in sockets:
            each.abort()
        return len(sockets)

    def close_sockets(self, code: int = 1008, reason: str = "closed by order", stream: str | None = None) -> int:
        """Close the open sockets with a code; returns how many. Frozen ones close when they thaw."""
        sockets = list(self.world.sockets_of(stream))
        for each in sockets:
            each.session.order = Ending(code, reason)
            each.nudge()
        return len(sockets)

    def freeze(self, seconds: float, stream: str | None = None, *, new: bool = False) -> int:
        """The open sockets neither send nor answer anything, with TCP open; returns how many.

        ``new``: handshakes are not answered either.
        """
        until_s = self.world.now() + seconds
        sockets = list(self.world.sockets_of(stream))
        for each in sockets:
            each.session.frozen_until_s = until_s
            each.nudge()
        if new:
            self.world.board.stall(stream, until_s)
        return len(sockets)

    def duplicate(self, count: int = 1, stream: str | None = None) -> int:
        """Send the last events of each open socket once more; returns how many sockets there are."""
        sockets = list(self.world.sockets_of(stream))
        for each in sockets:
            each.session.repeat(count)
            each.nudge()
        return len(sockets)

    # New sockets ----------------------------------------------------------------------------------------------

    def refuse(
        self, seconds: float, status: int = 503, retry_after_s: float | None = None, stream: str | None = None
    ) -> None:
        """Answer handshakes with a status instead of an upgrade."""
        self.world.board.refuse(stream, Refusal(self.world.now() + seconds, status, retry_after_s))

    def accept_then_close(self, seconds: float, code: int = 1011, stream: str | None = None) -> None:
        """Accept handshakes and close at once."""
        self.world.board.accept_then_close(stream, self.world.now() + seconds, code)

    def mute(self, seconds: float, stream: str | None = None, *, for_life: bool = False) -> None:
        """Sockets that open meanwhile are silent (but answer pings) until the time is over, or for ever."""
        until_s = self.world.now() + seconds
        self.world.board.mute(stream, until_s, math.inf if for_life else until_s)

    def delay_open(self, delay_s: float, seconds: float, stream: str | None = None) -> None:
        """Sockets that open within ``seconds`` send their first event after ``delay_s``."""
        self.world.board.delay_open(stream, self.world.now() + seconds, delay_s)

    # Tokens ---------------------------------------------------------------------------------------------------

    def expire_tokens(self) -> int:
        """End all tokens now, and with them their sockets; returns how many tokens."""
        count = self.world.tokens.expire_all(self.world.platform_now())
        self.world.nudge()
        return count

    def token_trouble(
        self,
        kind: TokenTroubleKind,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        retry_after_s: float | None = None,
        http_date: bool = False,
        delay_s: float = 1.0,
    ) -> None:
        """The token endpoint misbehaves for a time, for a number of requests (whichever ends first), or once."""
        self.world.board.trouble_tokens(
            kind,
            self.world.now(),
            seconds=seconds,
            requests=requests,
            retry_after_s=retry_after_s,
            http_date=http_date,
            delay_s=delay_s,
        )

    def snapshot_trouble(
        self,
        kind: SnapshotTroubleKind,
        seconds: float,
        *,
        retry_after_s: float = 1.0,
        delay_s: float = 60.0,
        size_bytes: float = math.inf,
    ) -> None:
        """The snapshot endpoint misbehaves for a time (:class:`connector.simulator.faults.SnapshotTrouble`)."""
        until_s = self.world.now() + seconds
        self.world.board.trouble_snapshots(SnapshotTrouble(kind, until_s, retry_after_s, delay_s, size_bytes))

    def clear(self) -> None:
        """End every window of trouble. What happened to a stream or a socket stays."""
        self.world.board.clear()

    # The sequence ---------------------------------------------------------------------------------------------

    def quiet(self, seconds: float, stream: str | None = None) -> None:
        """Produce no events for a while."""
        now_s = self.world.now()
        self.world.edit(stream, lambda log: log.timeline.pause(now_s, seconds))

    def push(self, count: int = 1, stream: str | None = None) -> None:
        """Produce events at once."""
        now_s = self.world.now()

        def change(log: StreamLog) -> None:
            log.timeline.push(now_s, count)

        self.world.edit(stream, change)

    def poison(
        self,
        kind: PoisonKind = "bad_json",
        stream: str | None = None,
        *,
        data: bytes | str = b"",
        size_bytes: int = 0,
        binary: bool = False,
        noise: bool = False,
    ) -> None:
        """An unreadable message at the next position, at once, and again for whoever resumes before it.

        ``noise``: on the open sockets only, at no position. ``data`` is for kind ``raw``, ``size_bytes`` for
        ``oversized``.
        """
        raw = data.encode() if isinstance(data, str) else data
        order = PoisonOrder(kind, raw, size_bytes, binary)
        now_s = self.world.now()
        if not noise:
            self.world.edit(stream, lambda log: log.poison(now_s, order))
            return
        for each in self.world.sockets_of(stream):
            made = make_poison(order, self.world.settings.position_name, each.session.log.position_at(now_s))
            each.session.aside.append(frame(made.opcode, made.data))
            each.nudge()

    def misdate(self, when: int | Literal["future", "1970"] = "future", stream: str | None = None) -> None:
        """An event at once whose ``eventTime`` is wrong: ms since the epoch, ten years ahead, or 1970."""
        now_s = self.world.now()
        words = {"future": int((now_s + _TEN_YEARS_S) * 1000), "1970": 0}
        time_ms = words[when] if isinstance(when, str) else when
        self.world.edit(stream, lambda log: log.misdate(now_s, time_ms))

    def jump(self, count: int, stream: str | None = None) -> None:
        """The next positions never come to be: the sequence goes on ``count`` further."""
        now_s = self.world.now()
        self.world.edit(stream, lambda log: log.jump(now_s, count))

    def reset(self, stream: str | None = None) -> None:
        """The sequence starts again at 1 with the next event, as after a failover of the platform."""
        now_s = self.world.now()
        self.world.edit(stream, lambda log: log.reset(now_s))

    # Questions ------------------------------------------------------------------------------------------------

    def prepare(self, stream: str) -> None:
        """Encode the stream's backlog ahead of time, so that sending it costs next to nothing (benchmarks)."""
        self.world.stream(stream).prepare()

    def truth(self, stream: str) -> Iterator[tuple[int, bytes]]:
        """(position, bytes) of all that exists by now, in order; after a reset positions begin again."""
        return ((item.position, item.data) for item in self.items(stream))

    def items(self, stream: str) -> Iterator[Item]:
        """The same with the epoch, and whether it is a poison."""
        log = self.world.stream(stream)
        return log.items(log.timeline.head(self.world.now()))

    def stats(self) -> dict[str, Any]:
        """Counts of everything so far (``report.stats``)."""
        return report.stats(self.world)

    def ledger(self, stream: str) -> dict[str, Any]:
        """What exists and what was sent, a stream (``report.ledger``)."""
        return report.ledger(self.world, stream)
