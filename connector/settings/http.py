"""``http``: where the worker answers HTTP, and whom."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from connector.core.access import is_loopback
from connector.settings.addresses import Listen, split_address
from connector.settings.fields import Document, Section, checked
from connector.settings.secret_files import Fault

_DEFAULT_LISTEN = "127.0.0.1:8080"
_TOKENS = ("token", "token_file", "read_token", "read_token_file")


class TlsSettings(Section):
    """Certificates of the management listener (PEM)."""

    certificate_file: Path = Field(description="The listener's certificate, followed by its chain.")
    key_file: Path = Field(description="Its private key.")
    client_ca_file: Path | None = Field(
        default=None, description="Clients must show a certificate of this authority (mTLS)."
    )


def _token(value: SecretStr) -> SecretStr:
    """Long enough not to be guessed, and fit for a header."""
    if not re.fullmatch(r"[\x21-\x7e]{16,}", value.get_secret_value()):
        raise ValueError("should be at least 16 printable ASCII characters, without blanks (openssl rand -hex 32)")
    return value


Token = Annotated[SecretStr, AfterValidator(_token)]


def _http_faults(http: Document) -> Iterator[Fault]:
    listen, tls = http.get("listen", _DEFAULT_LISTEN), http.get("tls")
    if http.get("probes") is not None and http.get("probes") == listen:
        yield Fault(("probes",), "is the same as listen; leave it out")
    if not _on_loopback(listen) and not any(http.get(name) for name in _TOKENS) and not _asks_certificates(tls):
        yield Fault(
            ("token",),
            "required where listen is not on loopback (or token_file, read_token, tls.client_ca_file): who can reach "
            "the listener could stop streams; for probes and metrics alone there is http.probes",
        )
    shown = [_shown(http.get(name)) for name in ("token", "read_token")]
    if shown[0] is not None and shown[0] == shown[1]:
        yield Fault(("read_token",), "is the same as token; leave one of them out")


def _asks_certificates(tls: Any) -> bool:  # noqa: ANN401  # whatever the file holds
    return isinstance(tls, Mapping) and bool(tls.get("client_ca_file"))


def _shown(token: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    return token.get_secret_value() if isinstance(token, SecretStr) else token


def _on_loopback(listen: Any) -> bool:  # noqa: ANN401  # whatever the file holds; a malformed address is told elsewhere
    try:
        return is_loopback(split_address(str(listen))[0])
    except ValueError:
        return True


class HttpSettings(Section):
    """Where the worker answers HTTP, and whom."""

    listen: Listen = Field(
        default=_DEFAULT_LISTEN,
        description=(
            "`HOST:PORT` of the management API, the status page, probes and metrics. Off loopback it needs `token`, "
            "`read_token` or `tls.client_ca_file`."
        ),
    )
    probes: Listen | None = Field(
        default=None,
        description="`HOST:PORT` for probes and metrics alone, without a token; they stay on `listen` too.",
    )
    token: Token | None = Field(
        default=None,
        description="Operators' token, as a bearer token or as a Basic password: reads, and steers streams.",
    )
    token_file: Path | None = Field(default=None, description="File that holds it.")
    read_token: Token | None = Field(default=None, description="Readers' token: reads only.")
    read_token_file: Path | None = Field(default=None, description="File that holds it.")
    tls: TlsSettings | None = Field(default=None, description="Optional: TLS on `listen`.")
    _checked = checked(_http_faults, secrets=("token", "read_token"))
