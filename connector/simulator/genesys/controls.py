"""Every fault and every question, as methods. ``POST /_ctl/<name>`` calls them by name (``http``).

``channel``: its id; None: all. Durations are seconds on the machine's clock. Return values are counts, for the log of
whoever asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from connector.simulator.faults import TokenTroubleKind
from connector.simulator.genesys import report
from connector.simulator.genesys.channels import Channel
from connector.simulator.genesys.faults import RestTrouble
from connector.simulator.genesys.life import Notification
from connector.simulator.genesys.world import World
from connector.simulator.session import Ending

CONTROLS = (
    "abort", "add_queue", "add_user", "clear", "close_sockets", "closing", "delay", "delay_requests", "duplicate",
    "evict", "expire_channels", "expire_tokens", "forbid", "freeze", "noise", "one_sided", "push", "quiet", "refuse",
    "refuse_sockets", "remove_queue", "rename_queue", "reorder", "revoke_tokens", "starve", "throttle",
    "token_trouble", "vanish",
)  # fmt: skip
_NOTICE_S = 60.0


class Controls:
    """The faults of a platform."""

    def __init__(self, world: World) -> None:
        self.world = world

    # Sockets --------------------------------------------------------------------------------------------------

    def abort(self, channel: str | None = None) -> int:
        """Reset the TCP connections of the open sockets; returns how many."""
        sockets = list(self.world.sockets_of(channel))
        for each in sockets:
            each.abort()
        return len(sockets)

    def close_sockets(self, code: int = 1001, channel: str | None = None) -> int:
        """Close the open sockets with a code; returns how many. Their channels live on."""
        return self._close(code, 0.0, channel)

    def closing(self, in_s: float = _NOTICE_S, channel: str | None = None, *, notice: bool = True) -> int:
        """Announce with ``v2.system.socket_closing`` that the sockets will be closed, and close them then."""
        if notice:
            for each in self.world.sockets_of(channel):
                each.session.tell(
                    "v2.system.socket_closing", {"message": "The connection will be closed for maintenance."}
                )
        return self._close(1001, in_s, channel)

    def freeze(self, seconds: float, channel: str | None = None) -> int:
        """The open sockets neither send nor answer anything, with TCP open; returns how many."""
        sockets = list(self.world.sockets_of(channel))
        for each in sockets:
            each.session.frozen_until_s = self.world.now() + seconds
            each.nudge()
        return len(sockets)

    def refuse_sockets(self, seconds: float, status: int = 503) -> None:
        """Answer handshakes with a status instead of an upgrade."""
        self.world.faults.handshakes_refused_until_s = self.world.now() + seconds
        self.world.faults.handshake_status = status

    # Channels and tokens --------------------------------------------------------------------------------------

    def evict(self, channel: str | None = None) -> int:
        """The channels are no more, as if 20 newer ones had been created; returns how many."""
        return self._end("evicted", channel)

    def expire_channels(self, channel: str | None = None) -> int:
        """The channels are no more, as after their day; returns how many."""
        return self._end("expired", channel)

    def starve(self, channel: str | None = None, *, told: bool = False) -> int:
        """Take the subscriptions away; heartbeats go on. ``told``: with ``v2.system.no_longer_subscribed``."""
        found = list(self._alive(channel))
        for each in found:
            if told:
                topic = f"v2.system.no_longer_subscribed.{each.channel_id}"
                self._tell(each.channel_id, topic, {"channelId": each.channel_id})
            each.replace({})
        return len(found)

    def revoke_tokens(self, *, told: bool = True) -> int:
        """End all tokens and their channels; ``told``: with ``v2.system.token_revoked``. Returns how many tokens."""
        if told:
            for each in self.world.channels.alive(None, self.world.platform_now()):
                self._tell(each.channel_id, f"v2.system.token_revoked.{each.client_id}", {"id": each.client_id})
        return self.expire_tokens()

    def expire_tokens(self) -> int:
        """End all tokens now, and with them their channels; returns how many tokens."""
        self.world.advance()
        count = self.world.clients.end_all(self.world.platform_now())
        self._nudge()
        return count

    def token_trouble(
        self,
        kind: TokenTroubleKind,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        retry_after_s: float | None = None,
        delay_s: float = 1.0,
    ) -> None:
        """The token endpoint misbehaves for a time, for a number of requests (whichever ends first), or once."""
        self.world.token_board.trouble_tokens(
            kind,
            self.world.now(),
            seconds=seconds,
            requests=requests,
            retry_after_s=retry_after_s,
            delay_s=delay_s,
        )

    def vanish(self, seconds: float) -> None:
        """Channels answer 404 to every request though they live, and go on."""
        self.world.faults.vanished_until_s = self.world.now() + seconds

    # Requests -------------------------------------------------------------------------------------------------

    def throttle(self, seconds: float, path: str = "", retry_after_s: float = 1.0) -> None:
        """REST requests whose path contains this get 429."""
        self.refuse(seconds, 429, path, retry_after_s)

    def refuse(self, seconds: float, status: int = 503, path: str = "", retry_after_s: float | None = None) -> None:
        """REST requests whose path contains this get a status."""
        until_s = self.world.now() + seconds
        self.world.faults.rest.append(RestTrouble(until_s, re.compile(re.escape(path)), status, retry_after_s))

    def delay_requests(self, seconds: float, delay_s: float, path: str = "") -> None:
        """REST requests whose path contains this are answered late."""
        until_s = self.world.now() + seconds
        self.world.faults.rest.append(RestTrouble(until_s, re.compile(re.escape(path)), delay_s=delay_s))

    def forbid(self, prefix: str) -> None:
        """The client has no permission for topics that begin so; subscriptions that there are stay."""
        self.world.faults.forbidden.append(prefix)

    # Notifications --------------------------------------------------------------------------------------------

    def delay(self, seconds: float, delay_s: float, channel: str | None = None) -> None:
        """What happens within ``seconds`` is told so much later on the channel, and what follows behind it."""
        self.world.faults.late[channel] = (self.world.now() + seconds, delay_s)

    def one_sided(self, seconds: float) -> None:
        """What several channels are subscribed to is told on one of them only, each time another."""
        self.world.faults.one_sided_until_s = self.world.now() + seconds

    def reorder(self, seconds: float) -> None:
        """On every second channel, neighbours that are about different things change places."""
        self.world.faults.reorder_until_s = self.world.now() + seconds

    def duplicate(self, count: int = 1, channel: str | None = None) -> int:
        """Send the last notifications of each open socket once more; returns how many sockets there are."""
        sockets = list(self.world.sockets_of(channel))
        for each in sockets:
            each.session.repeat(count)
            each.nudge()
        return len(sockets)

    def noise(self, data: str, channel: str | None = None) -> int:
        """Send any text; returns to how many sockets."""
        sockets = list(self.world.sockets_of(channel))
        for each in sockets:
            each.session.put(data.encode())
            each.nudge()
        return len(sockets)

    def quiet(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.world.advance()
        self.world.timeline.pause(self.world.now(), seconds)

    def push(self, count: int = 1) -> None:
        """So many things happen at once."""
        self.world.timeline.push(self.world.now(), count)
        self.world.advance()

    def clear(self) -> None:
        """End every window of trouble."""
        self.world.token_board.clear()
        self.world.faults = type(self.world.faults)()

    # Administration -------------------------------------------------------------------------------------------

    def add_queue(self, name: str) -> str:
        """A queue more, also for the conversations to come; returns its id."""
        return self.world.directory.add_queue(name)

    def add_user(self, name: str, department: str = "Service") -> str:
        """A user more, also for the conversations to come; returns the id."""
        return self.world.directory.add_user(name, department)

    def rename_queue(self, old: str, new: str) -> None:
        """Another name for a queue."""
        self.world.directory.rename_queue(old, new)

    def remove_queue(self, name: str) -> None:
        """A queue less."""
        self.world.directory.remove_queue(name)

    # Questions ------------------------------------------------------------------------------------------------

    def told(self, topics: frozenset[str] | None = None) -> Iterator[Notification]:
        """All that was there to be told so far, in order; of these topics, or everything."""
        self.world.advance()
        return (each for each in self.world.life.told if topics is None or each.topic in topics)

    def stats(self) -> dict[str, Any]:
        """Counts of everything so far (``report.stats``)."""
        return report.stats(self.world)

    def ledger(self) -> dict[str, Any]:
        """What happened, and what each socket was sent (``report.ledger``)."""
        return report.ledger(self.world)

    def _close(self, code: int, in_s: float, channel: str | None) -> int:
        sockets = list(self.world.sockets_of(channel))
        for each in sockets:
            each.session.order = Ending(code, "closed by order")
            each.session.order_at_s = self.world.now() + in_s
            each.nudge()
        return len(sockets)

    def _alive(self, channel: str | None) -> Iterator[Channel]:
        self.world.advance()
        alive = self.world.channels.alive(None, self.world.platform_now())
        return (each for each in alive if channel in (None, each.channel_id))

    def _end(self, death: str, channel: str | None) -> int:
        found = list(self._alive(channel))
        for each in found:
            each.death = death
        self._nudge()
        return len(found)

    def _tell(self, channel: str, topic: str, body: dict[str, Any]) -> None:
        for each in self.world.sockets_of(channel):
            each.session.tell(topic, body)
            each.nudge()

    def _nudge(self) -> None:
        for each in self.world.sockets_of(None):
            each.nudge()
