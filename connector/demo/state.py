"""What is known of the running demo, fed by the bridge's telemetry and by the demo itself. No I/O, no clock of its own.

Everything but :meth:`DemoState.warn` belongs to the event loop's thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from connector import telemetry

SAMPLE_S: Final = 0.25
_RATE_SAMPLES: Final = 8
_NEWS_KEPT: Final = 200
_SAMPLES_KEPT: Final = 400

Tone = Literal["good", "quiet", "bad", "fault"]


class News(NamedTuple):
    """Something that happened, ``at_s`` seconds after the demo's start."""

    at_s: float
    tone: Tone
    text: str


class Sample(NamedTuple):
    """A quarter of a second: events that were new, and the most and fewest sockets in it."""

    events: int
    most_sockets: int
    fewest_sockets: int


@dataclass(slots=True)
class DemoState:
    """Call it with telemetry events; ``at_s`` is to be kept current by whoever feeds it."""

    at_s: float = 0.0
    phase: str = "starting"
    state: str = "no connection yet"
    events: int = 0
    duplicates_dropped: int = 0
    position: int | None = None
    event_time_ms: int | None = None
    rotations: int = 0
    last_overlap_s: float | None = None
    longest_overlap_s: float = 0.0
    resets: int = 0
    closes_1008: int = 0
    news: deque[News] = field(default_factory=lambda: deque(maxlen=_NEWS_KEPT))
    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=_NEWS_KEPT))
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES_KEPT))
    _open: set[int] = field(default_factory=set)
    _most: int = 0
    _fewest: int = 0
    _sampled_events: int = 0

    # ------------------------------------------------------------------ in

    def __call__(self, event: telemetry.Event) -> None:
        """One telemetry event of the bridge."""
        match event:
            case telemetry.BatchRead():
                self.events += event.events
                self.duplicates_dropped += event.duplicates
            case telemetry.Committed(_, checkpoint):
                self.position = checkpoint.position
                self.event_time_ms = checkpoint.event_time_ms or self.event_time_ms
            case telemetry.StreamState(_, state):
                self.state = state
            case telemetry.SocketOpened() | telemetry.SocketClosed():
                self._socket(event)
            case telemetry.RotationDone():
                self._rotated(event)
            case _:
                self._tell(event)

    def say(self, tone: Tone, text: str) -> None:
        """Something worth a line."""
        self.news.append(News(self.at_s, tone, text))

    def warn(self, text: str) -> None:
        """A line of the log, at least a warning; from any thread."""
        self.warnings.append(text)

    def sample(self) -> None:
        """To be called every :data:`SAMPLE_S`; samples begin with the first socket."""
        if self.samples or self._most:
            self.samples.append(Sample(self.events - self._sampled_events, self._most, self._fewest))
        self._sampled_events = self.events
        self._most = self._fewest = len(self._open)

    # ------------------------------------------------------------------ out

    @property
    def events_per_s(self) -> float:
        """Over the last two seconds."""
        recent = list(self.samples)[-_RATE_SAMPLES:]
        return sum(sample.events for sample in recent) / (len(recent) * SAMPLE_S) if recent else 0.0

    @property
    def sockets(self) -> int:
        """How many are open."""
        return len(self._open)

    def lag_ms(self, wall_ms: int) -> int | None:
        """How old the newest committed event is; the simulated platform's clock is this machine's."""
        return None if self.event_time_ms is None else max(0, wall_ms - self.event_time_ms)

    # ------------------------------------------------------------------ what events mean

    def _socket(self, event: telemetry.SocketOpened | telemetry.SocketClosed) -> None:
        if isinstance(event, telemetry.SocketOpened):
            self._open.add(event.socket)
            if event.why != "rotation":
                self.say("good", f"socket {event.socket} opened ({event.why})")
        else:
            self._open.discard(event.socket)
            if event.by == "peer":
                reason = f", {event.reason}" if event.reason else ""
                self.say("bad", f"socket {event.socket} lost: {event.code}{reason}")
        self._most = max(self._most, len(self._open))
        self._fewest = min(self._fewest, len(self._open))

    def _rotated(self, event: telemetry.RotationDone) -> None:
        self.rotations += 1
        self.last_overlap_s = event.overlap_s
        self.longest_overlap_s = max(self.longest_overlap_s, event.overlap_s)
        self.say(
            "good",
            f"rotation {self.rotations}: token {event.generation} carries the stream, "
            f"{event.overlap_s * 1000:.0f} ms on two sockets",
        )

    def _tell(self, event: telemetry.Event) -> None:
        match event:
            case telemetry.TokenDied():
                self.say("bad", f"token {event.generation} is dead: a new one at once")
            case telemetry.Failed():
                again = "" if event.next_in_s is None else f"; again in {event.next_in_s:.2f} s"
                self.say("bad", f"{event.path}: {event.detail}{again}")
            case telemetry.GapRecorded():
                self.say("bad", f"gap {event.gap.first} to {event.gap.last}: {event.gap.reason}")
            case telemetry.DeadLettered():
                self.say("bad", f"dead letter after {event.after}: {event.reason}")
            case telemetry.HoleSuspected():
                self.say("bad", f"a hole after {event.after}?")
            case telemetry.ReadingPaused():
                self.say("quiet", "the buffer is full: not reading" if event.paused else "reading again")
            case telemetry.Suspended():
                self.say("bad", f"topic {event.topic} cannot be written: {event.reason}")
            case telemetry.StreamFailed():
                self.say("bad", f"a fault of the bridge: {event.error}")
            case _:
                return
