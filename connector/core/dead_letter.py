"""Dead letters (CONTRACT.md): what could not be delivered as an event, in its place in the order, as bytes."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from connector.model import Entry, Headers

MAX_BYTES = 900 * 1024
_BYTES = ("content-type", b"application/octet-stream")
_TRUNCATED = "truncated"


def sha256(raw: bytes) -> str:
    """Hex SHA-256 of an item's bytes."""
    return hashlib.sha256(raw).hexdigest()


def headers_of(stream: str, epoch: int | str, place: tuple[int, int], raw: bytes, reason: str, digest: str) -> Headers:
    """The headers; ``place``: the position before the item, and the item's number among the unreadable behind it."""
    headers: Headers = [
        ("reason", reason),
        ("stream", stream),
        ("epoch", str(epoch)),
        ("after_position", str(place[0])),
        ("ordinal", str(place[1])),
        ("sha256", digest),
        _BYTES,
    ]
    if len(raw) > MAX_BYTES:
        headers.append((_TRUNCATED, str(len(raw))))
    return headers


def refused(entry: Entry, stream: str, topic: str, reason: str) -> Entry:
    """The dead letter, for ``topic``, of a record that Kafka does not take; it stands in the record's place.

    That of an event counts as its position; a snapshot's record stands behind one.
    """
    found = dict(entry.headers)
    epoch = str(found.get("ce_id", "0")).partition("/")[0]
    snapshot_id = found.get("ce_snapshotid")
    place = (entry.position - 1, 1) if snapshot_id is None else (entry.position, entry.snapshot_records)
    headers = headers_of(stream, epoch, place, entry.value, reason, sha256(entry.value))
    if snapshot_id is None:
        headers += [("position", str(entry.position)), ("covers", str(entry.position))]
    else:
        headers.append(("ce_snapshotid", snapshot_id))
    return Entry(
        entry.position,
        entry.ordinal,
        topic,
        stream,
        entry.value[:MAX_BYTES],
        headers,
        entry.timestamp_ms,
        entry.event_time_ms,
        snapshot_records=entry.snapshot_records,
    )


def shortened(letter: Entry) -> Entry | None:
    """A dead letter that its own topic finds too large, cut to half; None where nothing is left to cut."""
    if not letter.value:
        return None
    headers = letter.headers
    if _TRUNCATED not in dict(headers):
        headers = [*headers, (_TRUNCATED, str(len(letter.value)))]
    return replace(letter, value=letter.value[: len(letter.value) // 2], headers=headers)
