"""HTTP header fields that speak of time: Date and Retry-After. Pure; no clock of ours is looked at."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from connector.core.token_clock import read_number


def read_http_date(text: str | None) -> float | None:
    """An HTTP-date (RFC 9110 §5.6.7) in seconds since the epoch; None where there is none to read."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def read_retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds to wait by Retry-After (RFC 9110 §10.2.3); a date counts from the answer's own Date, never our clock."""
    if text is None:
        return None
    seconds = read_number(text)
    if seconds is not None:
        return seconds
    until_s, date_s = read_http_date(text), read_http_date(date)
    return None if until_s is None or date_s is None else max(0.0, until_s - date_s)
