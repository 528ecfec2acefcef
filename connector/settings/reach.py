"""How a platform is reached: ``proxy``, or the environment's, and ``tls``."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import AfterValidator, Field, SecretStr

from connector.settings.addresses import check_url
from connector.settings.fields import Document, Section, checked
from connector.settings.secret_files import Fault
from connector.tls import TlsFiles, identify, trust, why

_PROXIED_AS = {"wss": "https", "ws": "http"}


def _proxy_url(url: SecretStr) -> SecretStr:
    parts = check_url(url.get_secret_value(), ("http", "https"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("should be the proxy's address alone, without a path")
    return url


ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]


def environment_proxy(url: str) -> str | None:
    """The proxy of a URL by HTTPS_PROXY (for ``wss://`` too), HTTP_PROXY and NO_PROXY."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    scheme = parts.scheme.lower()
    return getproxies().get(_PROXIED_AS.get(scheme, scheme))


def tls_faults(tls: Document) -> Iterator[Fault]:
    """Look at ``ca_file``, ``certificate_file`` and ``key_file`` of a section."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca, certificate, key = (_path(tls.get(name)) for name in ("ca_file", "certificate_file", "key_file"))
    if key is not None and certificate is None:
        yield Fault(("certificate_file",), "required with key_file")
    if ca is not None:
        try:
            trust(context, ca)
        except OSError as error:
            yield Fault(("ca_file",), f"{why(error)} ({ca})")
    if certificate is not None:
        try:
            identify(context, certificate, key)
        except OSError as error:
            yield Fault(("certificate_file",), f"{why(error)} ({certificate}{'' if key is None else f', {key}'})")


def _path(value: object) -> Path | None:
    return Path(value) if isinstance(value, str | Path) else None


class PlatformTlsSettings(Section):
    """TLS with the platform. Files that change are loaded again before the next connection."""

    ca_file: Path | None = Field(
        default=None, description="PEM file of authorities that are trusted beside the system's, such as a hospital's."
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM file of the client's certificate and its chain, where the platform asks for one."
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its private key, not encrypted; null: it is in `certificate_file`."
    )
    _checked = checked(tls_faults)

    def files(self) -> TlsFiles:
        """As the session takes them."""
        return TlsFiles(self.ca_file, self.certificate_file, self.key_file)
