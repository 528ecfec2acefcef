"""Signing keys for JWT bearer assertions, made once a run, and a certificate for TLS."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

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


def certificate(directory: Path) -> tuple[Path, Path]:
    """PEM files of a certificate for ``localhost`` that vouches for itself, and of its key."""
    signer, name = key("ES256", 1), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, signer.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(signer, hashes.SHA256())
    )
    files = directory / "localhost.pem", directory / "localhost.key"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(private_pem("ES256"))
    return files
