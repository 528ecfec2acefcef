"""Tokens at rest: AES-256-GCM (NIST SP 800-38D) where a key is configured, else as they are."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Seal:
    """Closes and opens values. ``key``: 32 bytes; None: values stay legible.

    ``place`` is authenticated with the value: moved to another place it does not open.
    """

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    def close(self, value: bytes, place: bytes) -> bytes:
        """The value as it may lie about."""
        if self._cipher is None:
            return value
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """The value; None where it was closed with another key, elsewhere, or has been touched."""
        if self._cipher is None:
            return sealed
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None
