"""Instants as platforms write them and as records carry them: RFC 3339 text, and milliseconds since the Unix epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

Moment = tuple[int, str]
"""An event's time: milliseconds since the epoch, and RFC 3339 text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARE_EPOCH = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999
"""The years 1 to 9999, which RFC 3339 can write (0001-01-01 and 9999-12-31 are what "no time" looks like in .NET)."""
_USUAL = frozenset({24, 27})
"""Lengths of UTC times with milli- and microseconds: with those in whole seconds nearly all, and quickly told."""
_is_rfc3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-5][0-9])"
).fullmatch


def read_time(value: object) -> Moment | None:
    """An event's time from RFC 3339 / ISO 8601 text or integer milliseconds; None where it is neither.

    Text that is RFC 3339 is kept as the platform wrote it. A time without an offset is taken for UTC.
    """
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _read_lower_case(value)
        # what else Python reads (week dates, a comma, letters behind microseconds) is not RFC 3339
        form = value[7:20:3]
        if form == "-T::Z" or (form == "-T::." and value[-1] == "Z" and len(value) in _USUAL):
            return (moment - _EPOCH) // _MILLISECOND, value
        return _normal(moment, value)
    if type(value) is int and _FIRST_MS <= value <= _LAST_MS:
        return value, rfc3339(value)
    return None


def rfc3339(time_ms: int) -> str:
    """Milliseconds since the epoch, of the years 1 to 9999, as RFC 3339 text in UTC."""
    return (_BARE_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds") + "Z"


def _read_lower_case(value: str) -> Moment | None:
    """RFC 3339 allows ``t`` and ``z``, which Python does not read and not every reader of ``ce_time`` will."""
    upper = value.upper()
    try:
        return None if upper == value else _normal(datetime.fromisoformat(upper), upper)
    except ValueError:
        return None


def _normal(moment: datetime, text: str) -> Moment:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ms = (moment - _EPOCH) // _MILLISECOND
    if not _FIRST_MS <= ms <= _LAST_MS:  # an offset leads out of the years that there are
        ms = _FIRST_MS if ms < 0 else _LAST_MS
    if _is_rfc3339(text):
        return ms, text
    text = moment.isoformat()
    return ms, text if _is_rfc3339(text) else rfc3339(ms)
