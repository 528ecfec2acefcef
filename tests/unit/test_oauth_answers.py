"""What is read from an OAuth server's answers where no socket is needed to see it."""

from __future__ import annotations

import pytest

from connector.auth.answers import HttpAnswer, read_token_endpoint, refusal
from connector.core.http_fields import read_http_date, read_retry_after
from connector.errors import TokenError

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
URL = "https://login.example/token"


@pytest.mark.parametrize(
    ("asked", "named", "usable"),
    [
        ("https://h/d", "https://h/token", True),
        ("http://h/d", "http://h/token", True),
        ("http://h/d", "https://h/token", True),
        ("https://h/d", "http://h/token", False),
        ("https://h/d", "file:///token", False),
    ],
)
def test_a_discovered_endpoint_never_weakens_the_connection(asked: str, named: str, usable: bool) -> None:  # noqa: FBT001 - a table
    """Credentials go out by TLS where the issuer was asked by TLS."""
    body = f'{{"token_endpoint": "{named}"}}'.encode()
    answer = HttpAnswer(asked, "issuer_url", 200, {}, body, 0.0)
    if usable:
        assert read_token_endpoint(answer) == named
        return
    with pytest.raises(TokenError, match="check issuer_url"):
        read_token_endpoint(answer)


def test_a_redirect_to_nowhere_is_a_refusal() -> None:
    """Whatever Location says."""
    answer = HttpAnswer(URL, "token_url", 302, {"Location": "http://[::1"}, b"", 0.0)
    assert "it redirects to an address that is none; check token_url" in str(refusal(answer, {}))


def test_dates() -> None:
    """Unreadable dates are none; one without a zone is UTC; a Retry-After date without Date says nothing."""
    assert read_http_date(DATE) == 1_700_000_000.0
    assert read_http_date("Tue, 14 Nov 2023 22:13:20 -0000") == 1_700_000_000.0
    assert [read_http_date(text) for text in (None, "", "yesterday", "Tue, 99 Nov 99999 22:13:20 GMT")] == [None] * 4
    assert read_retry_after(DATE, None) is None
    assert read_retry_after(None, DATE) is None
