"""Signing keys for JWT bearer assertions, made once a run."""

from __future__ import annotations

import functools
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Kind = Literal["RS256", "ES256", "short RSA", "P-384"]


@functools.cache
def key(kind: Kind, number: int) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """The ``number``-th key of a kind."""
    del number  # only tells keys apart
    match kind:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(65537, 1024 if kind == "short RSA" else 2048)


def private_pem(kind: Kind, number: int = 1, *, password: bytes | None = None) -> bytes:
    """As an operator stores it."""
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key(kind, number).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def public_pem(kind: Kind, number: int = 1) -> str:
    """As a server is given it."""
    return key(kind, number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
