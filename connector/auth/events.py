"""What happens to the token of a platform, as typed events: one name in log and metric. No event holds a token."""

from __future__ import annotations

import logging
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenGranted:
    """A new token, ``took_s`` after it was asked for.

    ``exp_s`` and ``refresh_time_s`` are instants of the platform's clock; None where unknown. ``shared``: another one
    asked. ``skew_s``: the platform's clock minus the local one, to within a second (Date is whole); only to be shown.
    """

    name: str
    generation: int
    exp_s: float | None
    lifetime_s: float | None
    refresh_in_s: float | None
    refresh_time_s: float | None
    skew_s: float | None
    took_s: float
    shared: bool = False


@dataclass(frozen=True, slots=True)
class TokenUnchanged:
    """The endpoint gave the token we have (a cache). ``seconds_left`` is None where unknown."""

    name: str
    generation: int
    retry_in_s: float | None
    seconds_left: float | None
    took_s: float


@dataclass(frozen=True, slots=True)
class TokenRequestFailed:
    """``seconds_left``: the old token's, 0: none, None: unknown. ``retry_in_s``: None where nobody holds a lease.

    ``asked`` is False where the endpoint was left in peace, since it has just failed another worker.
    """

    name: str
    status: int | None
    detail: str
    retry_in_s: float | None
    seconds_left: float | None
    took_s: float
    asked: bool = True


@dataclass(frozen=True, slots=True)
class TokenReportedDead:
    """The platform refused a token; once for each generation. ``seconds_left``: what we thought it had."""

    name: str
    generation: int
    age_s: float
    seconds_left: float | None
    retry_in_s: float | None


TokenEvent = TokenGranted | TokenUnchanged | TokenRequestFailed | TokenReportedDead

SIGNAL = "token_request"
"""Name of all of these: the log line's ``signal``, the stem of their metrics, the name of their span."""
STORY = {
    TokenGranted: (logging.INFO, "token granted"),
    TokenUnchanged: (logging.INFO, "token endpoint gave the same token again"),
    TokenRequestFailed: (logging.WARNING, "token request failed"),
    TokenReportedDead: (logging.WARNING, "token reported dead by the platform"),
}
"""Level and text of each event's log line."""
