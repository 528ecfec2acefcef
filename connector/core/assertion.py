"""The assertion of a JWT bearer grant (RFC 7523 §3): its claims, its signature, and when a refusal is its date's. Pure.

Its dates are on the platform's clock as far as that is known; nothing here asks for a time or for chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Algorithm = Literal["RS256", "ES256"]
SigningKey = RSAPrivateKey | EllipticCurvePrivateKey

BACKDATED_S = 2  # nodes of one server seldom agree to the second, and some have no leeway for an ``iat`` to come
LATE_S = 5.0  # how late an assertion may have been dated without that being why it was refused
SHORTEST_RSA_BITS = 2048  # RFC 7518 §3.3
_KEYS: dict[Algorithm, str] = {"RS256": f"RSA (of at least {SHORTEST_RSA_BITS} bits)", "ES256": "P-256"}


@dataclass(frozen=True, slots=True)
class AssertionPlan:
    """What every assertion of a grant says. ``audience`` None: the token endpoint's URL."""

    issuer: str
    subject: str
    audience: str | None = None
    algorithm: Algorithm = "RS256"
    kid: str | None = None
    lifetime_s: int = 60


def load_signing_key(pem: bytes, algorithm: Algorithm) -> SigningKey:
    """The private key in a PEM file. Raises ``ValueError`` that says what is wrong, and nothing of the content."""
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("holds an encrypted key; store it decrypted, readable by the bridge alone") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no private key in PEM format") from None
    if algorithm == "RS256" and isinstance(key, RSAPrivateKey) and key.key_size >= SHORTEST_RSA_BITS:
        return key
    if algorithm == "ES256" and isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError(f"holds no {_KEYS[algorithm]} key, which {algorithm} needs")


def issued_at(platform_s: float) -> int:
    """The ``iat`` of an assertion that is made when the platform's clock shows ``platform_s``."""
    return int(platform_s) - BACKDATED_S


def sign(plan: AssertionPlan, key: SigningKey, token_url: str, iat_s: int, jti: str) -> str:
    """The signed assertion. ``jti`` must be new each time: servers take each only once (RFC 7523 §3.7)."""
    claims = {
        "iss": plan.issuer,
        "sub": plan.subject,
        "aud": token_url if plan.audience is None else plan.audience,
        "iat": iat_s,
        "exp": iat_s + plan.lifetime_s,
        "jti": jti,
    }
    return jwt.encode(claims, key, plan.algorithm, headers=None if plan.kid is None else {"kid": plan.kid})


def is_misdated(iat_s: int, date_s: float) -> bool:
    """Whether an assertion refused at ``date_s`` on the platform's clock may have been refused for its date."""
    return not 0 <= date_s - iat_s <= BACKDATED_S + LATE_S
