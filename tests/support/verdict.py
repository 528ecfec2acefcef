"""What a read_committed reader finds of a stream, judged against the simulator's truth, record by record.

Every item of the platform must be found once: an event in its topic, byte for byte, with its headers, key and time
stamp; an unreadable one in the dead letters; what the platform no longer gave in a gap record. Nothing else may be
there. The order is judged for each partition, which is more than for each key; the last checkpoint must say what the
records say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from connector.simulator.stream import Item
from tests.support.ledger import Record
from tests.validation import Kind, validate

Mark = tuple[int, int]
"""Epoch and position."""

KEY_FIELDS: Final = ("conversationId", "userId", "agentId", "queueId")
DEAD_LETTER_BYTES: Final = 900 * 1024
_FUTURE_MS: Final = 55 * 60 * 1000
_HALF_RETENTION_MS: Final = 7 * 24 * 3600 * 1000 // 2
_SHOWN: Final = 8
_ALL_VALIDATED: Final = 3000
_THEN_EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class GapSeen:
    """A gap record: the first and last missing position."""

    epoch: int
    first: int | None
    last: int | None
    reason: str

    def holds(self, mark: Mark) -> bool:
        """Whether the position is declared missing."""
        return self.first is not None and self.last is not None and self.first <= mark[1] <= self.last


@dataclass(frozen=True, slots=True)
class LetterSeen:
    """A dead letter."""

    after: int
    ordinal: int
    covers: int | None
    reason: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """One stream as the test set it up. ``begin``: the position it starts after, in epoch 0.

    ``began_ms`` and ``ended_ms`` enclose the test, for time stamps that are clamped to a window around now.
    """

    stream: str
    source: str
    items: Sequence[Item]
    topic_of: Callable[[str], str]
    began_ms: int
    ended_ms: int
    begin: int = 0
    type_prefix: str = ""


@dataclass(slots=True)
class StreamVerdict:
    """What became of a stream. :meth:`assert_exact` is the promise; a test that expects gaps says which."""

    stream: str
    events: int = 0
    missing: list[Mark] = field(default_factory=list)
    duplicated: list[Mark] = field(default_factory=list)
    out_of_order: list[Mark] = field(default_factory=list)
    altered: list[Mark] = field(default_factory=list)
    invented: list[Mark] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    declared: list[Mark] = field(default_factory=list)
    """Items that exist and that a gap record declares missing."""
    gaps: list[GapSeen] = field(default_factory=list)
    letters: list[LetterSeen] = field(default_factory=list)
    noise: Counter[bytes] = field(default_factory=Counter)
    """Unreadable items that stand for no position."""

    def assert_exact(self, *, gaps: Iterable[GapSeen] | None = (), noise: Iterable[bytes] = ()) -> None:
        """Fail unless everything is there once, in order and unaltered, with just these gaps and this noise.

        ``gaps`` None: any, as long as they declare nothing missing that exists.
        """
        names = ("missing", "duplicated", "out_of_order", "altered", "invented", "faults")
        wrong = {name: found for name in names if (found := getattr(self, name))}
        shown = {name: (len(found), found[:_SHOWN]) for name, found in wrong.items()}
        assert not wrong, f"{self.stream}: {shown}; gaps {self.gaps[:_SHOWN]}; letters {self.letters[:_SHOWN]!r:.600}"
        if gaps is None:
            assert not self.declared, f"{self.stream}: {self.declared[:_SHOWN]} are declared missing: {self.gaps}"
        else:
            assert self.gaps == list(gaps), f"{self.stream}: gaps {self.gaps[:_SHOWN]}"
        assert self.noise == Counter(noise), f"{self.stream}: {self.letters[:_SHOWN]!r:.600}"


def judge(expected: Expected, records: Iterable[Record], group: str) -> StreamVerdict:
    """Judge one stream from all records of its topics and of the group's own topics."""
    return _Judge(expected, group).judge(records)


class _Judge:
    def __init__(self, expected: Expected, group: str) -> None:
        self._expected = expected
        self._group = group
        self._verdict = StreamVerdict(expected.stream)
        self._truth = {
            (item.epoch, item.position): item
            for item in expected.items
            if item.epoch > 0 or item.position > expected.begin
        }
        self._seen: set[Mark] = set()
        self._last: dict[tuple[str, int], Mark] = {}
        self._offsets: dict[tuple[str, int], int] = {}
        self._checkpoint: Record | None = None
        self._of_kind: Counter[Kind] = Counter()

    def judge(self, records: Iterable[Record]) -> StreamVerdict:
        own = {f"{self._group}.{name}": name for name in ("checkpoints", "gaps", "dead-letter")}
        stream = self._expected.stream.encode()
        for record in records:
            kind = own.get(record.topic)
            if kind is None:
                if record.stream == self._expected.stream and "ce_snapshotid" not in record.headers:
                    self._event(record)
            elif record.key == stream:
                {"checkpoints": self._check_point, "gaps": self._gap, "dead-letter": self._letter}[kind](record)
        self._account()
        self._judge_checkpoint()
        return self._verdict

    # Records --------------------------------------------------------------------------------------------------

    def _event(self, record: Record) -> None:
        epoch, _, position = record.headers.get("ce_id", b"").partition(b"/")
        if not (epoch.isdigit() and position.isdigit()):
            self._fault(f"ce_id {record.headers.get('ce_id')!r}")
            return
        mark = (int(epoch), int(position))
        place = (record.topic, record.partition)
        if mark in self._seen:
            self._verdict.duplicated.append(mark)
        elif mark < self._last.get(place, mark):
            self._verdict.out_of_order.append(mark)
        self._seen.add(mark)
        self._last[place] = max(mark, self._last.get(place, mark))
        self._offsets[place] = record.offset
        self._verdict.events += 1
        self._validate("event-headers", {name: value.decode() for name, value in record.headers.items()})
        item = self._truth.get(mark)
        if item is None or item.poison:
            self._verdict.invented.append(mark)
        elif item.data != record.value:
            self._verdict.altered.append(mark)
        else:
            self._envelope(mark, record, json.loads(item.data))

    def _envelope(self, mark: Mark, record: Record, event: Mapping[str, Any]) -> None:
        expected = self._expected
        event_type = str(event["eventType"])
        headers = {
            "ce_specversion": "1.0",
            "ce_id": f"{mark[0]}/{mark[1]}",
            "ce_source": expected.source,
            "ce_type": expected.type_prefix + event_type,
            "ce_time": event["eventTime"],
            "ce_sequence": f"{mark[1]:020d}",
            "ce_position": str(mark[1]),
            "content-type": "application/json",
        }
        if record.headers != {name: value.encode() for name, value in headers.items()}:
            self._fault(f"{mark}: headers {record.headers}")
        key = next((str(event[name]) for name in KEY_FIELDS if event.get(name)), expected.stream)
        if record.key != key.encode():
            self._fault(f"{mark}: key {record.key!r}, not {key!r}")
        if record.topic != expected.topic_of(event_type):
            self._fault(f"{mark}: topic {record.topic} for {event_type}")
        time_ms = round(datetime.fromisoformat(event["eventTime"]).timestamp() * 1000)
        newest = (expected.began_ms + _FUTURE_MS, expected.ended_ms + _FUTURE_MS)
        oldest = (expected.began_ms - _HALF_RETENTION_MS, expected.ended_ms - _HALF_RETENTION_MS)
        low, high = min(max(time_ms, oldest[0]), newest[0]), min(max(time_ms, oldest[1]), newest[1])
        if not low <= record.timestamp_ms <= high:
            self._fault(f"{mark}: time stamp {record.timestamp_ms}, not {low} to {high}")

    def _gap(self, record: Record) -> None:
        self._validate("gap", record.value)
        gap = json.loads(record.value)
        self._verdict.gaps.append(GapSeen(gap["epoch"], gap["from"], gap["to"], gap["reason"]))

    def _letter(self, record: Record) -> None:
        headers = {name: value.decode() for name, value in record.headers.items()}
        self._validate("dead-letter-headers", headers)
        covers = headers.get("covers")
        letter = LetterSeen(
            after=int(headers["after_position"]),
            ordinal=int(headers["ordinal"]),
            covers=None if covers is None else int(covers),
            reason=headers["reason"],
            value=record.value,
        )
        self._verdict.letters.append(letter)
        if headers["stream"] != self._expected.stream or headers.get("content-type") != "application/octet-stream":
            self._fault(f"dead letter {headers}")
        if "truncated" not in headers and headers["sha256"] != hashlib.sha256(record.value).hexdigest():
            self._fault(f"dead letter {headers}: another hash")

    def _check_point(self, record: Record) -> None:
        self._validate("checkpoint", record.value)
        self._checkpoint = record

    # The whole ------------------------------------------------------------------------------------------------

    def _account(self) -> None:
        """Every item once: as an event, in a dead letter, or in a gap."""
        verdict = self._verdict
        letters = Counter((letter.covers, letter.value) for letter in verdict.letters if letter.covers is not None)
        verdict.noise = Counter(letter.value for letter in verdict.letters if letter.covers is None)
        resets = {gap.epoch for gap in verdict.gaps if gap.reason == "position_reset"}
        ends = {epoch: max((mark for mark in self._seen if mark[0] == epoch), default=(epoch, 0)) for epoch in range(9)}
        for mark, item in self._truth.items():
            lettered = letters.pop((mark[1], item.data[:DEAD_LETTER_BYTES]), 0)
            missed = any(gap.epoch == mark[0] and gap.holds(mark) for gap in verdict.gaps)
            loose = item.data[:DEAD_LETTER_BYTES]
            if missed and item.poison and verdict.noise[loose]:
                verdict.noise[loose] -= 1  # unreadable beside positions that never were: nobody can tell which it had
            elif missed:
                verdict.declared.append(mark)
            times = (mark in self._seen) + lettered + missed
            if times == 0 and mark[0] + 1 in resets and mark > ends[mark[0]]:
                continue  # the end of a sequence that was reset: nobody can name it, the gap record's times tell
            if times == 0:
                verdict.missing.append(mark)
            elif times > 1:
                verdict.duplicated.append(mark)
        for (covers, value), count in letters.items():
            self._fault(f"{count} dead letters cover {covers}, where there is no such item: {value[:80]!r}")

    def _judge_checkpoint(self) -> None:
        if self._checkpoint is None:
            self._fault("there is no checkpoint")
            return
        last = max(self._truth, default=(0, self._expected.begin))
        value = json.loads(self._checkpoint.value)
        if (value["epoch"], value["position"]) != (last[0], str(last[1])):
            self._fault(f"the checkpoint says {value['epoch']}/{value['position']}, the platform {last}")
        for (topic, partition), offset in self._offsets.items():
            if value["offsets"].get(topic, {}).get(str(partition)) != offset:
                self._fault(f"the checkpoint's offset of {topic}/{partition} is not {offset}: {value['offsets']}")

    def _validate(self, kind: Kind, document: bytes | Mapping[str, object]) -> None:
        """Hold the record to its published schema; of very many, beside what is compared with them anyway, some."""
        self._of_kind[kind] += 1
        if self._of_kind[kind] > _ALL_VALIDATED and self._of_kind[kind] % _THEN_EVERY:
            return
        try:
            validate(kind, document)
        except AssertionError as error:
            self._fault(str(error))

    def _fault(self, what: str) -> None:
        self._verdict.faults.append(what)
