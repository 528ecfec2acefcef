"""The keys that sign assertions, and the clock that dates them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from connector.auth.server_clock import ServerClock
from connector.core.assertion import is_misdated, load_signing_key
from tests.support.keys import private_pem, public_pem


@pytest.mark.parametrize(
    ("pem", "algorithm", "fault"),
    [
        (lambda: private_pem("ES256"), "RS256", r"no RSA \(of at least 2048 bits\) key, which RS256 needs"),
        (lambda: private_pem("RS256"), "ES256", "no P-256 key, which ES256 needs"),
        (lambda: private_pem("P-384"), "ES256", "no P-256 key"),
        (lambda: private_pem("short RSA"), "RS256", "at least 2048 bits"),
        (lambda: private_pem("ES256", password=b"hidden"), "ES256", "encrypted"),
        (lambda: public_pem("ES256").encode(), "ES256", "no private key in PEM format"),
        (lambda: b"", "RS256", "no private key in PEM format"),
        (lambda: b"\xff\xfe", "RS256", "no private key in PEM format"),
    ],
)
def test_keys_that_cannot_sign(pem: Callable[[], bytes], algorithm: Literal["RS256", "ES256"], fault: str) -> None:
    """Each told by what is wrong, without a word of the content."""
    with pytest.raises(ValueError, match=fault) as caught:
        load_signing_key(pem(), algorithm)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("after_iat_s", "misdated"),
    [(-1, True), (0, False), (2, False), (7, False), (8, True), (3600, True), (-3600, True)],
)
def test_when_the_date_was_why(after_iat_s: float, misdated: bool) -> None:  # noqa: FBT001 - a table
    """Dated in the server's future, or well before its now."""
    assert is_misdated(1_800_000_000, 1_800_000_000 + after_iat_s) is misdated


class _Hand:
    """A clock moved by hand."""

    instant_s = 1000.0

    def now(self) -> float:
        return self.instant_s

    async def sleep_until(self, instant_s: float) -> None:
        raise NotImplementedError


def test_what_assertions_are_dated_by() -> None:
    """Wall clock; then a token's iat until it is doubted; then Date for good. In between our own clock counts."""
    hand, wall = _Hand(), [50.0]
    clock = ServerClock(hand, lambda: wall[0])
    clock.guess(None)
    clock.told(None)
    assert clock.now_s() == 50.0
    clock.guess(7000.0)
    wall[0] = 99.0
    hand.instant_s += 5.0
    assert clock.now_s() == 7005.0
    clock.doubt()
    assert clock.now_s() == 99.0
    clock.guess(7000.0)
    clock.told(8000.0)
    clock.guess(9000.0)
    clock.doubt()
    hand.instant_s += 1.0
    assert clock.now_s() == 8001.0
