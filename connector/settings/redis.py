"""``redis``: where workers share their tokens."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from connector.settings.addresses import redis_url
from connector.settings.fields import Document, Section, checked
from connector.settings.secret_files import Fault

_KEY_BYTES = 32


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value if value is not None else "")


def _faults(redis: Document) -> Iterator[Fault]:
    url = _text(redis.get("url"))
    try:
        parts = urlsplit(redis_url(url or "redis://x"))
    except ValueError as error:
        yield Fault(("url",), str(error))
        return
    if redis.get("password") is not None and parts.password is not None:
        yield Fault(("password",), "url has a password too; keep one of them")
    if redis.get("ca_file") is not None:
        yield from _authority(redis["ca_file"], parts.scheme)
    key = redis.get("encryption_key")
    if key is not None and decode_key(_text(key)) is None:
        yield Fault(("encryption_key",), "should be 32 random bytes in Base64 (openssl rand -base64 32)")


def _authority(path: object, scheme: str) -> Iterator[Fault]:
    if scheme != "rediss":
        yield Fault(("ca_file",), "is for a url that begins with rediss://")
        return
    if not isinstance(path, str | Path):
        return
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        yield Fault(("ca_file",), "holds no certificates in PEM form")
    except OSError as error:
        yield Fault(("ca_file",), f"cannot be read: {error.strerror or 'unknown error'}")


def decode_key(text: str) -> bytes | None:
    """The 32 bytes of a key written in Base64; None where it is anything else."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


class RedisSettings(Section):
    """Optional: lets workers share tokens. The promise never needs it."""

    url: SecretStr = Field(
        description="`redis://`, `rediss://` (TLS) or `unix://` URL: `rediss://user@host:6379/0`, without a query."
    )
    url_file: Path | None = Field(default=None, description="File that holds the URL.")
    password: SecretStr | None = Field(default=None, description="The user's password, where the URL has none.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    ca_file: Path | None = Field(
        default=None, description="PEM file with the authorities to trust for `rediss://`; null: the system's."
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="32 random bytes in Base64: tokens lie in Redis encrypted (AES-256-GCM). The same in all workers.",
    )
    encryption_key_file: Path | None = Field(default=None, description="File that holds the key.")
    _checked = checked(_faults, secrets=("url", "password", "encryption_key"))
