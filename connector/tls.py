"""TLS with a platform: authorities trusted beside the system's, and the client's own certificate.

Streams stay open for months and certificates do not: the files are looked at before each new connection, and loaded
again when they have changed. An authority that is no longer in its file is not trusted any more.
"""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger("connector.tls")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files; ``key`` None: it stands in the certificate's file."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class RenewableContext(ssl.SSLContext):
    """Every new connection is made by ``present``; what an OpenSSL context was told to trust it trusts for ever."""

    present: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as the base class has it
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See :meth:`ssl.SSLContext.wrap_bio`; asyncio's connections all begin with it."""
        return self.present.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


class ClientTls:
    """The context of a platform's connections."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises ``OSError`` (``ssl.SSLError`` is one) where a file cannot be used."""
        self.context = RenewableContext(ssl.PROTOCOL_TLS_CLIENT)
        self._files = files
        self._stamps = self._stamped()
        self.context.present = self._loaded()

    def refresh(self) -> None:
        """Load the files again where they have changed; what cannot be used is told, and the former stay in force."""
        try:
            stamps = self._stamped()
            if stamps == self._stamps:
                return
            self.context.present = self._loaded()
        except OSError as error:
            _log.error("renewed TLS files cannot be used, the former stay in force: %s", why(error))
        else:
            self._stamps = stamps
            _log.info("TLS files were renewed")

    def _loaded(self) -> ssl.SSLContext:
        context, files = ssl.create_default_context(), self._files
        context.set_alpn_protocols(["http/1.1"])
        if files.ca is not None:
            trust(context, files.ca)
        if files.certificate is not None:
            identify(context, files.certificate, files.key)
        return context

    def _stamped(self) -> list[tuple[int, int]]:
        files = (self._files.ca, self._files.certificate, self._files.key)
        return [(found.st_mtime_ns, found.st_ino) for found in map(os.stat, filter(None, files))]


def trust(context: ssl.SSLContext, authorities: Path) -> None:
    """Trust these authorities too. Raises ``OSError``."""
    context.load_verify_locations(authorities)


def identify(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Show this certificate to servers that ask. Raises ``OSError``, also where the key is encrypted."""
    context.load_cert_chain(certificate, key, password=lambda: "")  # else OpenSSL asks the terminal


def why(error: OSError) -> str:
    """What is wrong with a file, without its content."""
    if isinstance(error, ssl.SSLError):
        return f"not a usable PEM file ({error.reason or 'unknown format'})"
    return f"cannot be read: {error.strerror or 'unknown error'}"
