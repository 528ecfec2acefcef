"""What is allowed, but that its operator should know."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from connector.core.access import is_loopback
from connector.settings.addresses import split_address
from connector.settings.client import reveal
from connector.settings.root import Settings

_PLAIN = {"ws": "tokens and events are", "http": "credentials or customers' data are", "redis": "tokens are"}


def warnings(settings: Settings) -> list[str]:
    """One line for each risk, with its path, for the log at start; no secrets."""
    return [
        *_plain_connections(settings),
        *_legible_tokens(settings),
        *_open_listeners(settings),
        *_unverified_brokers(settings),
    ]


def _plain_connections(settings: Settings) -> Iterator[str]:
    urls = {"redis.url": settings.redis.url.get_secret_value() if settings.redis else None}
    for name, platform in settings.platforms.items():
        urls |= {f"platforms.{name}.{setting}": url for setting, url in platform.addresses.items()}
        urls[f"platforms.{name}.auth.token_url"] = platform.auth.token_url
        urls[f"platforms.{name}.auth.issuer_url"] = platform.auth.issuer_url
    for path, url in urls.items():
        parts = urlsplit(url or "")
        scheme = parts.scheme.lower()
        if scheme in _PLAIN and not is_loopback(parts.hostname or ""):
            yield f"{path}: {scheme}:// off loopback: {_PLAIN[scheme]} sent in clear text"


def _legible_tokens(settings: Settings) -> Iterator[str]:
    if settings.redis is not None and settings.redis.encryption_key is None:
        yield "redis: without encryption_key: who can read it can use the tokens"


def _open_listeners(settings: Settings) -> Iterator[str]:
    http = settings.http
    if http.tls is None and not is_loopback(split_address(http.listen)[0]):
        yield "http.listen: off loopback without http.tls: its tokens are sent in clear text"
    if http.probes is not None and not is_loopback(split_address(http.probes)[0]):
        yield "http.probes: is not on loopback: who can reach it can read it without a password"


def _unverified_brokers(settings: Settings) -> Iterator[str]:
    client = {name: str(reveal(value)).lower() for name, value in settings.kafka.client.items()}
    if client.get("enable.ssl.certificate.verification") == "false":
        yield "kafka.client.enable.ssl.certificate.verification: false: anyone can pose as a broker"
