"""What a contact centre's events say. Pure: an event's content depends on (seed, stream, i) alone.

Event i belongs to the conversation *seat* i mod K (K conversations at a time) and is the next turn of that seat's
play. A play has twelve turns from start to end and one script of three; then the seat's next conversation begins.
Seats are spread over their plays, so that a stream begins in mid-life and its mix is the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from time import gmtime, strftime
from typing import Any, NamedTuple

from connector.simulator.settings import SimulatorSettings

TURNS = 12
_QUEUES = (
    "Billing", "Claims", "Kundenservice", "New Business", "Retention", "R\u00fcckfragen",
    "Sales", "Soporte", "Technical Support", "Travel Desk", "VIP", "Welcome",
)  # fmt: skip
_DIRECTIONS = (b"outbound", *[b"inbound"] * 7)
_MEDIA = (b"voice", b"voice", b"chat", b"callback")
_CACHED_CONVERSATIONS = 20_000

# One character a turn: S start, U update, A agent state, Q queue observation, E end; then the conversation's state.
_SCRIPTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SQUAUUUQUAUE", ("offering", "", "alerting", "interacting", "connected", "held", "connected", "", "wrapup", "acw",
                      "wrapup", "disconnected")),
    ("SUQAUUAUUUQE", ("ivr", "queued", "", "interacting", "alerting", "connected", "consulting", "connected",
                      "transferring", "connected", "", "disconnected")),
    ("SQUUAUUUUAQE", ("queued", "", "alerting", "connected", "interacting", "connected", "connected", "held",
                      "connected", "idle", "", "disconnected")),
)  # fmt: skip


class _Conversation(NamedTuple):
    """What stays the same through a conversation, ready for the wire."""

    conversation_id: bytes
    common: bytes
    customer: bytes
    agent_id: bytes
    queue: bytes
    kinds: str
    states: tuple[bytes, ...]
    noise: int


class Seat(NamedTuple):
    """Where in whose play event i stands."""

    seat: int
    play: int
    turn: int


class EventWriter:
    """Writes the events of every stream of one platform."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._seats = settings.conversations
        self._payload_bytes = settings.payload_bytes
        self._start = b'{"%b":' % settings.position_name.encode()
        self._cache: dict[tuple[str, int, int], _Conversation] = {}
        self._second = -1
        self._second_text = b""

    def write(self, stream: str, i: int, position: int, time_ms: int, emitted_ms: int) -> bytes:
        """Event i, as one JSON object.

        ``time_ms`` (the platform's clock) becomes ``eventTime``, ``emitted_ms`` (the machine's) ``emittedAtMs``.
        """
        rest = self._rest(stream, i)
        head = b'%b%d,"eventTime":"%b","emittedAtMs":%d,' % (self._start, position, self._iso(time_ms), emitted_ms)
        lacking = self._payload_bytes - len(head) - len(rest) - 14
        if lacking > 0:
            return b'%b%b,"padding":"%b"}' % (head, rest, b"x" * lacking)
        return head + rest + b"}"

    def seat_of(self, i: int) -> Seat:
        """Whose turn event i is."""
        round_, seat = divmod(i, self._seats)
        play, turn = divmod(round_ + seat * 7 % TURNS, TURNS)
        return Seat(seat, play, turn)

    def active(self, stream: str, i: int) -> list[dict[str, Any]]:
        """The conversations that are going on once event i has been said, as the snapshot shows them."""
        found: list[dict[str, Any]] = []
        for seat in range(self._seats):
            last = i - (i - seat) % self._seats  # the seat's last event; below 0 where it had none yet
            where = self.seat_of(last) if last >= 0 else Seat(seat, 0, seat * 7 % TURNS - 1)
            if where.turn in (-1, TURNS - 1):
                continue
            conversation = self._conversation(stream, where.seat, where.play)
            state = next(filter(None, reversed(conversation.states[: where.turn + 1])), b"offering")
            found.append(json.loads(b'{%b,"state":"%b",%b}' % (conversation.common, state, conversation.customer)))
        return found

    def _rest(self, stream: str, i: int) -> bytes:
        """All but the position and the times, without the closing brace."""
        seat, play, turn = self.seat_of(i)
        talk = self._conversation(stream, seat, play)
        kind, state, noise = talk.kinds[turn], talk.states[turn], talk.noise + i
        if kind == "U":
            return b'"eventType":"conversation.update",%b,"state":"%b","agentId":"%b","durationMs":%d,"mos":%d.0,%b' % (
                talk.common, state, talk.agent_id, noise % 600_000, noise % 5, talk.customer)  # fmt: skip
        if kind == "A":
            return (
                b'"eventType":"agent.state","userId":"%b","agentId":"%b","routingStatus":"%b","presence":"On Queue",'
                b'"occupancy":0.%d0,"queues":[{%b}],"skills":["de","en"],"stationId":"st-%d"'
            ) % (talk.agent_id, talk.agent_id, state, noise % 10, talk.queue, noise % 400)
        if kind == "Q":
            return (
                b'"eventType":"queue.observation",%b,"mediaType":"voice","oWaiting":%d,"oInteracting":%d,'
                b'"oOnQueueUsers":%d,"longestWaitMs":%d,"serviceLevel":%d.0e-1'
            ) % (talk.queue, noise % 40, noise % 90, noise % 60 + 4, noise % 240_000, noise % 10)
        if kind == "S":
            return b'"eventType":"conversation.start",%b,"state":"%b",%b' % (talk.common, state, talk.customer)
        return b'"eventType":"conversation.end",%b,"state":"%b","agentId":"%b","durationMs":%d,"wrapUpCode":"wu-%d"' % (
            talk.common, state, talk.agent_id, noise % 1_800_000, noise % 17)  # fmt: skip

    def _conversation(self, stream: str, seat: int, play: int) -> _Conversation:
        key = (stream, seat, play)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _CACHED_CONVERSATIONS:
                self._cache.clear()
            found = self._cache[key] = self._invent(stream, seat, play)
        return found

    def _invent(self, stream: str, seat: int, play: int) -> _Conversation:
        digest = self._digest(f"{stream}/{seat}/{play}")
        conversation_id = str(uuid.UUID(bytes=digest[:16], version=4)).encode()
        numbers = int.from_bytes(digest[16:24])
        agent = f"agent/{numbers % max(8, self._seats)}"
        number = numbers >> 20 & 0x3FFFFFF
        media, script = _MEDIA[digest[24] & 3], _SCRIPTS[digest[25] % len(_SCRIPTS)]
        queue_index = digest[26] % len(_QUEUES)
        queue = b'"queueId":"%b","queueName":%b' % (
            str(uuid.UUID(bytes=self._digest(f"queue/{queue_index}")[:16], version=4)).encode(),
            json.dumps(_QUEUES[queue_index]).encode(),
        )
        return _Conversation(
            conversation_id=conversation_id,
            common=b'"conversationId":"%b","mediaType":"%b","direction":"%b",%b'
            % (conversation_id, media, _DIRECTIONS[digest[27] & 7], queue),
            customer=b'"participants":[{"purpose":"customer","ani":"tel:+4989%08d","dnis":"tel:+498000%05d",'
            b'"name":"J\\u00fcrgen \\"Caller\\" %d"}]' % (number, queue_index * 111, number % 1000),
            agent_id=str(uuid.UUID(bytes=self._digest(agent)[:16], version=4)).encode(),
            queue=queue,
            kinds=script[0],
            states=tuple(state.encode() for state in script[1]),
            noise=numbers & 0xFFFFF,
        )

    def _digest(self, what: str) -> bytes:
        return hashlib.blake2b(f"{self._seed}/{what}".encode(), digest_size=32).digest()

    def _iso(self, time_ms: int) -> bytes:
        """ISO 8601 in UTC with milliseconds and Z; the part up to the second is kept for the next event."""
        second, ms = divmod(time_ms, 1000)
        if second != self._second:
            self._second = second
            self._second_text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode()
        return b"%b.%03dZ" % (self._second_text, ms)
