"""Checks assertions of the JWT bearer grant as a strict server does (RFC 7523 §3): no leeway, each only once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import jwt
from jwt.exceptions import PyJWTError

LONGEST_LIFE_S = 300.0
_CLAIMS = ["iss", "sub", "aud", "exp", "iat", "jti"]


class AssertionDesk:
    """Knows the one issuer, its public key, and the assertions it has seen."""

    def __init__(self, public_key_pem: str, issuer: str) -> None:
        self._key = public_key_pem
        self._issuer = issuer
        self._seen: dict[str, float] = {}  # jti → exp

    def fault(self, assertion: str, now_s: float, audiences: Sequence[str]) -> str | None:
        """Why the assertion is not accepted; None where it is, and then never again."""
        if not self._key:
            return "no key is known that could verify an assertion"
        try:
            claims = jwt.decode(
                assertion,
                self._key,
                ["RS256", "ES256"],
                audience=audiences,
                issuer=self._issuer,
                # dates are checked below: PyJWT would take the machine's clock
                options={"verify_exp": False, "verify_iat": False, "require": _CLAIMS},
            )
        except PyJWTError as error:
            return str(error)
        if claims["iat"] > now_s:
            return "the assertion is dated in the future"
        if not now_s < claims["exp"] <= now_s + LONGEST_LIFE_S:
            return "the assertion has expired, or lives too long"
        self._seen = {jti: exp_s for jti, exp_s in self._seen.items() if exp_s > now_s}
        if claims["jti"] in self._seen:
            return "the assertion was used before"
        self._seen[claims["jti"]] = claims["exp"]
        return None
