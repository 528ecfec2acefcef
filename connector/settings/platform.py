"""``platforms.<name>``: how a platform is reached, and what it can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from connector.settings.addresses import HttpUrl, JsonPointer, NonEmpty, StreamUrl
from connector.settings.auth import AuthSettings
from connector.settings.fields import Document, Integer, PositiveSeconds, Section, checked
from connector.settings.reach import PlatformTlsSettings, ProxyUrl, environment_proxy
from connector.settings.secret_files import Fault, read_member_files

# What a kind presets; the user's values win. A new kind is a literal below and a row here.
KIND_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "genesys-sequence": {"parameter": "sequenceId", "field": "/sequenceId"},
    "nice-offset": {"parameter": "offset", "field": "/offset"},
}
_OWN_HEADERS = {"authorization", "connection", "upgrade", "host", "content-length", "transfer-encoding"}
_HIGHEST_STATUS, _PRIVATE_CODES = 599, range(3000, 5000)


class PositionSettings(Section):
    """Where a position stands. The defaults depend on the platform's `kind`."""

    parameter: NonEmpty = Field(
        description="Query parameter that resumes a stream: `sequenceId` (genesys-sequence), `offset` (nice-offset)."
    )
    field: JsonPointer = Field(description="The position in an event and in the snapshot: `/sequenceId` or `/offset`.")


class SnapshotSettings(Section):
    """Fetching the platform's state over REST."""

    max_wait_seconds: PositiveSeconds = Field(
        default=300, description="A snapshot that fails for longer is given up; the gap record says so."
    )


def _close_code(code: int) -> int:
    if not 1000 <= code <= 4999:  # noqa: PLR2004  # RFC 6455 §7.4
        raise ValueError("should be a WebSocket close code, 1000 to 4999")
    return code


def _expired_position(value: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    if value in ("head", "oldest"):
        return value
    code = int(value) if isinstance(value, int | str) and re.fullmatch(r"\d{3,4}", str(value)) else 0
    if 400 <= code <= _HIGHEST_STATUS or 1000 <= code < 1016 or code in _PRIVATE_CODES:  # noqa: PLR2004  # RFC 9110, 6455
        return code
    raise ValueError("should be head, oldest, an HTTP status of a refusal (400 to 599) or a close code")


def _header_faults(headers: Mapping[str, Any]) -> Iterator[Fault]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(name)):
            yield Fault((name,), "is not a header name")
        elif str(name).lower() in _OWN_HEADERS or str(name).lower().startswith("sec-websocket"):
            yield Fault((name,), "is set by the bridge")
        elif isinstance(value, str) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            yield Fault((name,), "should hold no control character")


def _preset(platform: Document) -> dict[str, Any]:
    """Fill in what the kind presets."""
    document = dict(platform)
    kind, position = document.get("kind"), document.get("position")
    if isinstance(position, Mapping) or "position" not in document:
        preset = KIND_DEFAULTS.get(kind if isinstance(kind, str) else "", KIND_DEFAULTS["genesys-sequence"])
        document["position"] = {**preset, **(position or {})}
    return with_own_headers(document)


def with_own_headers(document: dict[str, Any]) -> dict[str, Any]:
    """With a copy of the headers, since their files are read into them."""
    if isinstance(document.get("headers"), Mapping):
        document["headers"] = dict(document["headers"])
    return document


def platform_faults(platform: Document) -> Iterator[Fault]:
    """What any kind of platform must not say."""
    ping, silence = platform.get("ping_seconds", 20), platform.get("silence_seconds", 60)
    if isinstance(ping, int | float) and isinstance(silence, int | float) and ping >= silence:
        yield Fault(("ping_seconds",), "should be less than silence_seconds")
    headers = platform.get("headers")
    if isinstance(headers, dict):
        for fault in [*read_member_files(headers), *_header_faults(headers)]:
            yield Fault(("headers", *fault.location), fault.message)


class PlatformSettings(Section):
    """A contact-centre platform: its credentials, its connections. Each kind adds its wire, and what it can do."""

    kind: str = Field(description="The adapter.")
    proxy: ProxyUrl | None = Field(
        default=None,
        description=(
            "`http://[USER:PASSWORD@]HOST:PORT` of a proxy for everything of this platform; null: as `HTTPS_PROXY` "
            "(for `wss://` too), `HTTP_PROXY` and `NO_PROXY` say."
        ),
    )
    proxy_file: Path | None = Field(default=None, description="File that holds the proxy's URL.")
    tls: PlatformTlsSettings = Field(default_factory=PlatformTlsSettings, description="TLS with the platform.")
    compression: bool = Field(
        default=False, description="Offer permessage-deflate (RFC 7692): less network for more CPU and memory a socket."
    )
    auth: AuthSettings = Field(description="The OAuth grant.")
    close_codes_expired: list[Annotated[Integer, AfterValidator(_close_code)]] = Field(
        default_factory=lambda: [1008, 4001], description="Close codes that mean: the token has expired."
    )
    traceparent: JsonPointer | None = Field(
        default=None,
        description=(
            "JSON pointer of the W3C `traceparent` in an event, which becomes the record's header of that name; events "
            "without one get that of the handshake's answer, if it had one."
        ),
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="More headers for the handshake and the snapshot. `<name>_file` reads a value from a file.",
    )
    ping_seconds: PositiveSeconds = Field(default=20, description="Time between our own pings.")
    silence_seconds: PositiveSeconds = Field(
        default=60, description="A socket that brought no byte for so long, pongs included, is dead."
    )
    idle_keepalive_seconds: PositiveSeconds | None = Field(
        default=None,
        description=(
            "Send an unsolicited pong (RFC 6455 §5.5.3) on a socket on which nothing was sent for so long, also while "
            "back-pressure keeps it unread; null: never."
        ),
    )
    max_frame_bytes: Integer = Field(
        default=67_108_864, ge=1024, le=1_073_741_824, description="Largest message that is read."
    )
    snapshot: SnapshotSettings = Field(default_factory=SnapshotSettings, description="Fetching the platform's state.")

    @property
    def addresses(self) -> dict[str, str | None]:
        """Setting → URL of everything of the platform that the bridge connects to, but for `auth`."""
        return {}

    @property
    def has_snapshot(self) -> bool:
        """Whether the platform can tell by REST what a gap has left out."""
        return True

    def revealed_headers(self) -> dict[str, str]:
        """The extra headers with their values in the open."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    def proxy_of(self, url: str) -> str | None:
        """The proxy by which a URL of this platform is reached."""
        return environment_proxy(url) if self.proxy is None else self.proxy.get_secret_value()


class SequenceSettings(PlatformSettings):
    """A platform of the kinds `genesys-sequence` and `nice-offset`: one URL a stream, positions in events."""

    kind: Literal["genesys-sequence", "nice-offset"] = Field(description="The adapter.")
    stream_url: StreamUrl = Field(
        description="The WebSocket endpoint, `wss://` (or `ws://`). `{channel}` stands for a stream's `channel`."
    )
    snapshot_url: HttpUrl | None = Field(
        default=None,
        description="REST endpoint of the platform's state. Without it `on_gap: snapshot` means `continue`.",
    )
    retention_seconds: PositiveSeconds = Field(
        default=60, description="How long the platform keeps events for a stream that resumes."
    )
    position: PositionSettings = Field(description="Where positions stand.")
    resume: Literal["position", "none"] = Field(
        default="position", description="Whether a stream can go on at a position; `none`: no replay at all."
    )
    contiguous: bool = Field(
        default=True, description="Whether positions are consecutive integers, so that a hole is a loss."
    )
    handover: Literal["overlap", "sequential"] = Field(
        default="overlap", description="Whether the platform allows a second socket while a token is rotated."
    )
    expired_position: Annotated[Literal["head", "oldest"] | int, BeforeValidator(_expired_position)] = Field(
        default="head",
        description=(
            "What resuming at a position older than the retention gets: events from the present (`head`), from the "
            "oldest kept (`oldest`), or a refusal with this HTTP status or close code."
        ),
    )
    _checked = checked(platform_faults, secrets=("proxy",), prepare=_preset)

    @property
    def addresses(self) -> dict[str, str | None]:
        """See :class:`PlatformSettings`."""
        return {"stream_url": self.stream_url.replace("{channel}", "channel"), "snapshot_url": self.snapshot_url}

    @property
    def has_snapshot(self) -> bool:
        """See :class:`PlatformSettings`."""
        return self.snapshot_url is not None
