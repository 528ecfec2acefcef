"""From a platform's event to Kafka records: keys, CloudEvents headers, time stamps (CONTRACT.md "Topics").

CloudEvents 1.0, Kafka protocol binding, binary content mode: attributes are headers, the value is the platform's
event byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from msgspec.structs import replace

from connector.core import dead_letter
from connector.core.instants import Moment, rfc3339
from connector.core.pointer import Lookup, compile_pointer
from connector.core.redaction import Redaction
from connector.core.routing import Router
from connector.core.steps import Unreadable
from connector.core.tracing import TraceContext
from connector.model import Entry, Gap, Headers, Serialise, TopicLimits, Unfit

IMPLAUSIBLE_MS = 24 * 3600 * 1000
"""An event dated so much later than now says nothing of how far its stream has come."""
UNFIT = "schema"
"""Why an event is a dead letter that does not fit its topic's schema."""
_FUTURE_MS = 55 * 60 * 1000
_SPECVERSION = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Names that go into every record of a stream."""

    group: str
    platform: str
    stream: str

    @property
    def source(self) -> str:
        """CloudEvents ``source``: never a worker or a host."""
        return f"/ccaas/{self.group}/{self.platform}/{self.stream}"


class Envelope:
    """Builds the records of one stream."""

    def __init__(
        self,
        identity: StreamIdentity,
        router: Router,
        *,
        key: Sequence[str],
        event_type: str,
        type_prefix: str = "",
        traceparent: str | None = None,
    ) -> None:
        """``key``: JSON pointers, the first present wins; ``event_type``, ``traceparent``: pointers to these."""
        self.identity = identity
        self.router = router
        self._source = ("ce_source", identity.source.encode())
        self._key: list[Lookup] = [compile_pointer(pointer) for pointer in key]
        self._first_key = self._key[0] if self._key else _nowhere
        self._type = compile_pointer(event_type)
        self.type_prefix = type_prefix
        self.trace = TraceContext(None if traceparent is None else compile_pointer(traceparent))
        self._gaps = f"{identity.group}.gaps"
        self._dead_letters = f"{identity.group}.dead-letter"
        self._windows: dict[str, tuple[int, int]] = {}
        self._now_ms = 0
        self.clamped = 0
        self.redacted = 0
        self._unfit: list[int] = []

    def at(self, now_ms: int, limits: Mapping[str, TopicLimits]) -> None:
        """Set the present (wall clock, ms): time stamps are clamped to what each topic keeps around it."""
        self._now_ms = now_ms
        for topic in self.router.topics:
            keeps = limits[topic].retention_ms if topic in limits else None
            oldest = 0 if keeps is None else now_ms - keeps // 2
            self._windows[topic] = (oldest, now_ms + _FUTURE_MS)

    def event(
        self, epoch: int, position: int, moment: Moment | None, document: object, raw: bytes
    ) -> tuple[Entry, bool]:
        """The record of one event, and whether it is urgent; :meth:`at` has told the present before."""
        found = self._type(document)
        event_type = found if type(found) is str and found else ""
        topic, urgent, redaction, serialise = self.router.route(event_type)
        digits = str(position)
        headers: Headers = [
            _SPECVERSION,
            ("ce_id", f"{epoch}/{digits}"),
            self._source,
            ("ce_type", self.type_prefix + event_type if event_type else "ccaas.unknown"),
            ("ce_sequence", digits.zfill(20)),
            ("ce_position", digits),
            _JSON,
        ]
        if self.trace.told:
            self._traced(document, headers)
        if redaction is not None:
            raw = self.redact(raw, redaction, headers)
        time_ms: int | None = None
        timestamp_ms = self._now_ms
        if moment is not None:
            time_ms, text = moment
            headers.append(("ce_time", text))
            oldest, newest = self._windows[topic]
            timestamp_ms = time_ms
            if not oldest <= time_ms <= newest:
                self.clamped += 1
                timestamp_ms = oldest if time_ms < oldest else newest
                if time_ms >= self._now_ms + IMPLAUSIBLE_MS:
                    time_ms = None
        entry = Entry(position, 0, topic, self.key(document), raw, headers, timestamp_ms, time_ms)
        return (entry if serialise is None else self.serialised(entry, raw, serialise)), urgent

    def serialised(self, entry: Entry, raw: bytes, serialise: Serialise) -> Entry:
        """The entry as its topic's schema wants it, else its dead letter, in its place."""
        value = serialise(raw)
        if not isinstance(value, Unfit):
            return replace(entry, value=value or b"", null=value is None)
        self._unfit.append(entry.position if entry.snapshot_records else entry.position - 1)
        letter = dead_letter.refused(entry, self.identity.stream, self._dead_letters, UNFIT)
        return replace(letter, headers=[*letter.headers, ("detail", value.why)])

    def unfit(self) -> list[int]:
        """Behind which positions something did not fit its schema since the last call."""
        found, self._unfit = self._unfit, []
        return found

    def counted(self) -> tuple[int, int]:
        """How many time stamps were clamped and values redacted since the last call."""
        counts = (self.clamped, self.redacted)
        self.clamped = self.redacted = 0
        return counts

    def _traced(self, document: object, headers: Headers) -> None:
        found = self.trace.of(document)
        if found is not None:
            headers.append(("traceparent", found))

    def redact(self, raw: bytes, redaction: Redaction, headers: Headers) -> bytes:
        """The value without what must not pass; where something was taken out, a header says what."""
        cleared, found = redaction.apply(raw)
        if found:
            headers.append(("redacted", orjson.dumps(found)))
            self.redacted += 1
        return cleared

    def key(self, document: object) -> str | bytes:
        """The first present of the key pointers, as text; else the stream's name: never null."""
        found = self._first_key(document)
        if type(found) is str and found:
            return found
        for lookup in self._key:
            found = lookup(document)
            if type(found) is str and found:
                return found
            if found is not None and not isinstance(found, str):
                return orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
        return self.identity.stream

    def dead_letter(self, epoch: int, step: Unreadable[object], raw: bytes, reason: str) -> Entry:
        """The record of an unreadable item, in its place in the order."""
        stream, digest = self.identity.stream, step.sha256 or dead_letter.sha256(raw)
        headers = dead_letter.headers_of(stream, epoch, (step.after, step.ordinal), raw, reason, digest)
        if step.covers is not None:
            headers.append(("covers", str(step.covers)))
        value = raw[: dead_letter.MAX_BYTES]
        return Entry(
            step.after,
            step.ordinal,
            self._dead_letters,
            stream,
            value,
            headers,
            self._now_ms,
            None,
            sha256=digest,
            covers=step.covers is not None,
        )

    def gap(self, gap: Gap) -> Entry:
        """The gap record; once it is written, everything up to the gap's end is accounted for."""
        value = orjson.dumps(
            {
                "v": 1,
                "stream": self.identity.stream,
                "epoch": gap.epoch,
                "from": gap.first,
                "to": gap.last,
                "from_time": None if gap.first_time_ms is None else rfc3339(gap.first_time_ms),
                "to_time": None if gap.last_time_ms is None else rfc3339(gap.last_time_ms),
                "reason": str(gap.reason),
                "detected_at": rfc3339(self._now_ms),
                "snapshot": "none",
                "snapshot_id": None,
            }
        )
        return Entry(gap.last or 0, 0, self._gaps, self.identity.stream, value, [_JSON], self._now_ms, None)


def settled(gap_record: Entry, snapshot: str, snapshot_id: str | None) -> Entry:
    """The gap record once it is known what became of its snapshot: ``done`` or ``failed``."""
    fields = orjson.loads(gap_record.value)
    return replace(gap_record, value=orjson.dumps({**fields, "snapshot": snapshot, "snapshot_id": snapshot_id}))


def _nowhere(_document: object) -> None:
    return None
