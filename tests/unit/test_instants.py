"""Times as platforms write them: which are read, and what becomes of them in ``ce_time``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.instants import read_time, rfc3339

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = 1_772_352_930_123
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999

_KEPT = {
    "2026-03-01T08:15:30.123Z": _MS,
    "2026-03-01T08:15:30Z": _MS - 123,
    "2026-03-01T08:15:30.123456Z": _MS,
    "2026-03-01T08:15:30.1Z": _MS - 23,
    "2026-03-01T08:15:30.1234567Z": _MS,
    "2026-03-01T08:15:30.123456789Z": _MS,
    "2026-03-01T09:15:30.123+01:00": _MS,
    "2026-03-01T08:15:30.123-00:00": _MS,
    "2026-03-01T13:45:30.123+05:30": _MS,
    "1970-01-01T00:00:00Z": 0,
    "0001-01-01T00:00:00Z": _FIRST_MS,
    "9999-12-31T23:59:59Z": _LAST_MS - 999,
    "9999-12-31T23:59:59.999999Z": _LAST_MS,
    "9999-12-31T23:59:59.9999999Z": _LAST_MS,
    "9999-12-31T23:59:59-12:00": _LAST_MS,
    "0001-01-01T00:00:00+12:00": _FIRST_MS,
}
_WRITTEN_ANEW = {
    "2026-03-01t08:15:30.123z": (_MS, "2026-03-01T08:15:30.123Z"),
    "2026-03-01T08:15:30.123z": (_MS, "2026-03-01T08:15:30.123Z"),
    "2026-03-01t08:15:30.123Z": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01 08:15:30.123Z": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01T08:15:30.123": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01T08:15:30,123Z": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01T08:15:30.123+0000": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01T08:15:30.123+00": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01T08:15:30.Z": (_MS - 123, "2026-03-01T08:15:30+00:00"),
    "20260301T081530Z": (_MS - 123, "2026-03-01T08:15:30+00:00"),
    "20260301T0815Z": (_MS - 30_123, "2026-03-01T08:15:00+00:00"),
    "2026-03-01T08:15Z": (_MS - 30_123, "2026-03-01T08:15:00+00:00"),
    "2026-W09-7T08:15:30Z": (_MS - 123, "2026-03-01T08:15:30+00:00"),
    "2026-W09-7T08:15:30.123Z": (_MS, "2026-03-01T08:15:30.123000+00:00"),
    "2026-03-01": (1_772_323_200_000, "2026-03-01T00:00:00+00:00"),
    "2026-03-01T13:45:45.123+05:30:15": (_MS, "2026-03-01T08:15:30.123Z"),
    "0001-01-01T00:00:00": (_FIRST_MS, "0001-01-01T00:00:00+00:00"),
}
_NONSENSE = [
    "", "Z", "now", "yesterday at noon", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-03-01T24:30:00Z",
    "2026-03-01T08:15:30.123+25:00", "1772352930123", "10000-01-01T00:00:00Z", "2026-03-01T08:15:30 zulu",
    True, False, None, 1.5, float("inf"), [], {}, ["2026-03-01T08:15:30Z"], 10**18, -(10**18), 10**400,
]  # fmt: skip


@pytest.mark.parametrize(("text", "ms"), _KEPT.items())
def test_rfc3339_is_kept_as_the_platform_wrote_it(text: str, ms: int) -> None:
    """To the letter, whatever the precision and the offset."""
    assert read_time(text) == (ms, text)


@pytest.mark.parametrize(("text", "moment"), _WRITTEN_ANEW.items())
def test_other_forms_are_written_anew(text: str, moment: tuple[int, str]) -> None:
    """Lower case, other ISO 8601, no offset (UTC): ``ce_time`` is RFC 3339 all the same."""
    assert read_time(text) == moment


@pytest.mark.parametrize("value", _NONSENSE, ids=repr)
def test_nonsense_is_no_time(value: object) -> None:
    """The event has none, then."""
    assert read_time(value) is None


@pytest.mark.parametrize("ms", [0, 1, -1, 999, _MS, _FIRST_MS, _LAST_MS])
def test_milliseconds_are_written_as_text(ms: int) -> None:
    """Exactly, in UTC."""
    moment = read_time(ms)
    assert moment is not None
    assert moment[0] == ms
    assert datetime.fromisoformat(moment[1]) == _EPOCH + timedelta(milliseconds=ms)
    assert _RFC3339.fullmatch(moment[1])


@given(
    st.datetimes(timezones=st.builds(lambda m: timezone(timedelta(minutes=m)), st.integers(-720, 840))),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_any_time_is_read_as_it_is(moment: datetime, precision: str) -> None:
    """Any instant of the years 1 to 9999, at any offset: kept as written, to the millisecond; a record can carry it."""
    text = moment.isoformat(timespec=precision)
    read = read_time(text)
    assert read is not None
    assert read[1] == text
    truth_ms = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    assert read[0] == min(max(truth_ms, _FIRST_MS), _LAST_MS)
    assert _RFC3339.fullmatch(rfc3339(read[0]))


@given(st.text(alphabet="0123456789-:.,+TtZz W", max_size=32) | st.integers())
def test_whatever_is_read_is_rfc3339(value: object) -> None:
    """Never raises; never hands on what a reader of ``ce_time`` cannot parse."""
    read = read_time(value)
    if read is not None:
        assert _RFC3339.fullmatch(read[1])
        rfc3339(read[0])
