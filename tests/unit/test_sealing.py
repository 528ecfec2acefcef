"""Tokens at rest: what opens, and what does not."""

from __future__ import annotations

from connector.auth.sealing import Seal

KEY, OTHER = b"k" * 32, b"o" * 32


def test_sealed_values_open_in_their_place_only() -> None:
    """With the same key, at the same place, untouched; the token is not to be seen, and no two values are alike."""
    seal = Seal(KEY)
    sealed = seal.close(b"secret", b"here")
    assert seal.open(sealed, b"here") == b"secret"
    assert b"secret" not in sealed
    assert seal.close(b"secret", b"here") != sealed
    assert seal.open(sealed, b"there") is None
    assert Seal(OTHER).open(sealed, b"here") is None
    assert seal.open(bytes([*sealed[:-1], sealed[-1] ^ 1]), b"here") is None


def test_what_was_never_sealed_does_not_open() -> None:
    """However short."""
    for value in (b"", b"short", b"a legible value of some length"):
        assert Seal(KEY).open(value, b"here") is None


def test_without_a_key_values_are_legible() -> None:
    """As the documentation warns."""
    assert Seal(None).open(Seal(None).close(b"secret", b"here"), b"there") == b"secret"
