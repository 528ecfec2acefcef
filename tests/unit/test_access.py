"""Who may ask the HTTP listener for what, and how often."""

from __future__ import annotations

import base64

import pytest

from connector.core.access import Asked, Guard, is_loopback, refused
from connector.core.pace import Pace

OPERATOR, READER = "operators-token-0123456789", "readers-token-0123456789"
OPEN = Guard()
TOKENS = Guard(OPERATOR, READER)
LOCAL = "127.0.0.1:8080"


def basic(password: str, user: str = "anybody") -> str:
    """A Basic Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def status(guard: Guard, asked: Asked) -> int | None:
    """The status of the refusal; None: let in."""
    refusal = refused(guard, asked)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("method", "authorization", "expected"),
    [
        ("GET", None, 401),
        ("GET", "", 401),
        ("GET", "Bearer", 401),
        ("GET", "Bearer wrong", 401),
        ("GET", f"Bearer {OPERATOR[:-1]}", 401),
        ("GET", f"Digest {OPERATOR}", 401),
        ("GET", "Basic %%%", 401),
        ("GET", "Basic " + base64.b64encode(b"\xff\xfe").decode(), 401),
        ("GET", basic("wrong"), 401),
        ("GET", basic("", user=OPERATOR), 401),
        ("GET", f"Bearer {READER}", None),
        ("HEAD", basic(READER), None),
        ("PUT", f"Bearer {READER}", 403),
        ("DELETE", basic(READER), 403),
        ("GET", f"bearer {OPERATOR}", None),
        ("PUT", f"Bearer {OPERATOR}", None),
        ("PATCH", basic(OPERATOR), None),
    ],
)
def test_a_token_gives_a_role(method: str, authorization: str | None, expected: int | None) -> None:
    """Readers read, operators change, nobody else anything; under any host name."""
    assert status(TOKENS, Asked(method, "bridge.example.com", authorization=authorization)) == expected


def test_a_guard_with_one_token_knows_no_other() -> None:
    """No token configured is not the empty token."""
    assert status(Guard(read_token=READER), Asked("GET", LOCAL, authorization="Bearer ")) == 401
    assert status(Guard(read_token=READER), Asked("PUT", LOCAL, authorization=f"Bearer {READER}")) == 403
    assert status(Guard(token=OPERATOR), Asked("GET", LOCAL, authorization=basic(""))) == 401


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (LOCAL, None),
        ("localhost:8080", None),
        ("LOCALHOST", None),
        ("[::1]:8080", None),
        ("127.1.2.3", None),
        ("", 403),
        ("rebound.example.com:8080", 403),
        ("127.0.0.1.example.com", 403),
        ("192.0.2.7:8080", 403),
        ("[", 403),
    ],
)
def test_the_open_listener_knows_its_own_names_only(host: str, expected: int | None) -> None:
    """A page served under a name that then points to loopback gets nothing, not even by reading."""
    assert status(OPEN, Asked("GET", host)) == expected


@pytest.mark.parametrize(
    ("origin", "fetch_site", "expected"),
    [
        (None, None, None),
        (f"http://{LOCAL}", None, None),
        (f"http://{LOCAL}", "same-origin", None),
        (None, "none", None),
        ("http://evil.example.com", None, 403),
        ("http://127.0.0.1:9999", "same-site", 403),
        ("null", None, 403),
        ("http://[", None, 403),
        (None, "cross-site", 403),
    ],
)
def test_another_sites_page_changes_nothing(origin: str | None, fetch_site: str | None, expected: int | None) -> None:
    """Whoever the browser says it is logged in as."""
    for guard, authorization in ((OPEN, None), (TOKENS, basic(OPERATOR))):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert status(guard, Asked(method, LOCAL, origin, fetch_site, authorization)) == expected
        assert status(guard, Asked("GET", LOCAL, origin, fetch_site, authorization)) is None


def test_a_client_certificate_is_an_operators() -> None:
    """TLS has looked at it already."""
    assert status(Guard(certified=True), Asked("PUT", "bridge.example.com")) is None
    assert status(Guard(OPERATOR, certified=True), Asked("GET", "bridge.example.com")) == 401


def test_tokens_show_nowhere() -> None:
    """Not in a repr, not in a refusal."""
    asked = Asked("PUT", LOCAL, authorization=f"Bearer {READER}")
    assert READER not in f"{TOKENS!r} {asked!r} {refused(TOKENS, asked)!r}"
    assert OPERATOR not in repr(TOKENS)


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("[::1]", True), ("x.localhost", True), ("nas", False)])
def test_loopback(host: str, *, expected: bool) -> None:
    """By address or by name."""
    assert is_loopback(host) is expected


def test_a_burst_then_the_pace() -> None:
    """So many at once, then one at a time; another address is not touched."""
    pace = Pace(per_s=2, burst=3, addresses=2)
    assert [pace.wait_s("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert pace.wait_s("b", 10.0) == 0
    assert pace.wait_s("a", 10.4) == pytest.approx(0.1)
    assert pace.wait_s("a", 10.5) == 0
    assert pace.wait_s("a", 1000.0) == 0


def test_addresses_are_forgotten() -> None:
    """However many ask, memory is bounded: the one that asked longest ago goes first."""
    pace = Pace(per_s=1, burst=1, addresses=2)
    assert [pace.wait_s(address, 0.0) for address in "abc"] == [0, 0, 0]
    assert pace.wait_s("c", 0.0) == 1
    assert pace.wait_s("a", 0.0) == 0
