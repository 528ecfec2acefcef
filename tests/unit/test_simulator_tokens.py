"""The simulator's OAuth side: who gets a token, what is in it, how long it is honoured."""

from __future__ import annotations

import base64
from typing import Any

import jwt
import pytest

from connector.simulator.settings import SimulatorSettings
from connector.simulator.tokens import JWT_BEARER, Denied, IssuedToken, Refused, TokenOffice
from tests.support.keys import private_pem, public_pem

NOW = 1_800_000_000.25
GRANT = {"grant_type": "client_credentials"}
ACCESS_KEY = {"grant_type": "password", "username": "simulator-key", "password": "simulator-key-secret"}
AUDIENCE = "https://platform/token"


SECRET = "simulator-secret"


def basic(client: str = "simulator", secret: str = SECRET) -> str:
    """A Basic header."""
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


def office(**properties: Any) -> TokenOffice:  # noqa: ANN401 - each test names the properties it is about
    """A token office with these settings."""
    return TokenOffice(SimulatorSettings(**properties))


def issue(tokens: TokenOffice, now_s: float = NOW) -> tuple[IssuedToken, dict[str, Any]]:
    """A token that is expected to be given."""
    answer = tokens.request(basic(), GRANT, now_s)
    assert not isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    ("authorization", "form", "refused"),
    [
        (basic(), GRANT, None),
        (None, {**GRANT, "client_id": "simulator", "client_secret": "simulator-secret"}, None),
        (basic(secret="wrong"), GRANT, (401, "invalid_client")),
        (basic(client="other"), GRANT, (401, "invalid_client")),
        (None, {**GRANT, "client_id": "simulator", "client_secret": "wrong"}, (401, "invalid_client")),
        (None, GRANT, (401, "invalid_client")),
        ("Basic !!!", GRANT, (401, "invalid_client")),
        ("Basic /w==", GRANT, (401, "invalid_client")),
        ("Bearer x", GRANT, (401, "invalid_client")),
        (basic(), {}, (400, "invalid_request")),
        (basic(), {"grant_type": "implicit"}, (400, "unsupported_grant_type")),
        (basic(), ACCESS_KEY, None),
        (basic(), {**ACCESS_KEY, "password": "wrong"}, (400, "invalid_grant")),
        (basic(), {"grant_type": "password"}, (400, "invalid_grant")),
        (None, ACCESS_KEY, (401, "invalid_client")),
        (basic(), {"grant_type": JWT_BEARER, "assertion": "x"}, (400, "invalid_grant")),
    ],
)
def test_who_gets_a_token(authorization: str | None, form: dict[str, str], refused: tuple[int, str] | None) -> None:
    """RFC 6749 §2.3.1 and §5.2."""
    answer = office().request(authorization, form, NOW)
    assert (None if not isinstance(answer, Refused) else (answer.status, answer.error)) == refused


def test_basic_credentials_are_form_encoded() -> None:
    """RFC 6749 §2.3.1: id and secret are urlencoded before Basic is made of them."""
    tokens = office(client_id="a b", client_secret="c:%")
    assert not isinstance(tokens.request(basic("a+b", "c%3A%25"), GRANT, NOW), Refused)


@pytest.mark.parametrize(("life_s", "exp_less_iat"), [(3600, 3600), (5, 5), (0.5, 0.5)])
def test_claims_tell_the_life(life_s: float, exp_less_iat: float) -> None:
    """``exp`` - ``iat`` is the life; whole seconds where it is whole; the answer says the same."""
    token, body = issue(office(token_life_s=life_s))
    claims = jwt.decode(token.value, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == pytest.approx(exp_less_iat)
    assert isinstance(claims["exp"], int) == (life_s >= 1)
    assert claims["exp"] <= token.expires_at_s == NOW + life_s
    assert (body["expires_in"], body["token_type"], claims["sub"], claims["jti"]) == (
        life_s,
        "bearer",
        "simulator",
        "1",
    )


def test_a_token_can_hide_its_life() -> None:
    """Opaque and without ``expires_in``: a client knows nothing."""
    token, body = issue(office(opaque_tokens=True, omit_expires_in=True))
    assert "expires_in" not in body
    with pytest.raises(jwt.DecodeError):
        jwt.decode(token.value, options={"verify_signature": False})


def test_a_token_is_honoured_to_the_end_and_no_longer() -> None:
    """The platform's clock decides."""
    tokens = office(token_life_s=5)
    token, _ = issue(tokens)
    bearer = f"bearer {token.value}"
    assert tokens.check(bearer, NOW + 4.999) is token
    assert tokens.check(bearer, NOW + 5) == Denied("invalid_token", "token expired")
    assert tokens.check("Bearer other", NOW) == Denied("invalid_token", "unknown token")
    assert tokens.check(None, NOW) == Denied(None, "a bearer token is needed")


def test_expiry_by_order() -> None:
    """All live tokens die; later ones live."""
    tokens = office()
    first, _ = issue(tokens)
    assert tokens.expire_all(NOW) == 1
    assert tokens.expire_all(NOW) == 0
    second, _ = issue(tokens)
    assert first.ended(NOW) == "token expired by order"
    assert second.ended(NOW) is None
    assert first.value != second.value


@pytest.mark.parametrize(("reissue", "death"), [("keeps", None), ("revokes", "token revoked")])
def test_reissue(reissue: str, death: str | None) -> None:
    """A new token leaves the old one alive, or kills it."""
    tokens = office(reissue=reissue)
    first, _ = issue(tokens)
    issue(tokens)
    assert first.ended(NOW) == death


def test_a_burst_is_refused() -> None:
    """Requests closer together than the setting get 429 and how long to wait."""
    tokens = office(token_burst_s=2.5)
    issue(tokens)
    answer = tokens.request(basic(), GRANT, NOW + 1)
    assert isinstance(answer, Refused)
    assert (answer.status, answer.retry_after_s) == (429, 2)
    issue(tokens, NOW + 2.5)


def test_a_scope_is_given_back() -> None:
    """RFC 6749 §5.1."""
    answer = office().request(basic(), {**GRANT, "scope": "notifications"}, NOW)
    assert not isinstance(answer, Refused)
    assert answer[1]["scope"] == "notifications"


def assertion(number: int = 1, **changes: object) -> str:
    """An assertion as the office wants it, but for the changes; None leaves a claim out."""
    now = int(NOW)
    claims: dict[str, Any] = {
        "iss": "simulator",
        "sub": "user",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 60,
        "jti": "1",
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, private_pem("ES256", number), "ES256")


@pytest.mark.parametrize(
    ("number", "changes", "fault"),
    [
        (1, {}, None),
        (1, {"aud": ["https://other", AUDIENCE]}, None),
        (2, {}, "Signature verification failed"),
        (1, {"aud": "https://other"}, "Audience doesn't match"),
        (1, {"iss": "other"}, "Invalid issuer"),
        (1, {"jti": None}, 'missing the "jti" claim'),
        (1, {"iat": int(NOW) + 1}, "dated in the future"),
        (1, {"exp": int(NOW)}, "has expired"),
        (1, {"exp": int(NOW) + 301}, "lives too long"),
    ],
)
def test_what_an_assertion_must_be(number: int, changes: dict[str, object], fault: str | None) -> None:
    """RFC 7523 §3, by the platform's clock and without leeway; a client's credentials are not needed."""
    form = {"grant_type": JWT_BEARER, "assertion": assertion(number, **changes)}
    answer = office(assertion_key=public_pem("ES256")).request(None, form, NOW, [AUDIENCE])
    if fault is None:
        assert not isinstance(answer, Refused)
        return
    assert isinstance(answer, Refused)
    assert (answer.status, answer.error) == (400, "invalid_grant")
    assert fault in answer.description


def test_an_assertion_is_good_once() -> None:
    """A replayed ``jti`` is refused while it lives; wrong credentials beside it are not overlooked."""
    tokens = office(assertion_key=public_pem("ES256"))
    form = {"grant_type": JWT_BEARER, "assertion": assertion()}
    wrong = tokens.request(basic(secret="wrong"), form, NOW, [AUDIENCE])
    assert isinstance(wrong, Refused)
    assert wrong.error == "invalid_client"
    assert not isinstance(tokens.request(basic(), form, NOW, [AUDIENCE]), Refused)
    again = tokens.request(basic(), form, NOW + 5, [AUDIENCE])
    assert isinstance(again, Refused)
    assert again.description == "the assertion was used before"
