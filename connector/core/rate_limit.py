"""How often a REST API may be asked, by what its answers say (``inin-ratelimit-*`` and ``Retry-After``). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from connector.core.http_fields import read_retry_after
from connector.core.token_clock import read_number

_COUNT, _ALLOWED, _RESET = "inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset"


class RateLimit:
    """``due``: no request before this instant."""

    def __init__(self) -> None:
        self.due = 0.0

    def told(self, headers: Mapping[str, str], now: float) -> None:
        """An answer came: what is used up counts anew after ``reset`` seconds."""
        wait_s = read_retry_after(headers.get("Retry-After"), headers.get("Date"))
        count, allowed, reset_s = (read_number(headers.get(name)) for name in (_COUNT, _ALLOWED, _RESET))
        if count is not None and allowed is not None and reset_s is not None and count >= allowed:
            wait_s = max(wait_s or 0.0, reset_s)
        if wait_s is not None:
            self.due = max(self.due, now + wait_s)
