"""``platforms.<name>`` of kind ``genesys-notifications``: Genesys Cloud's own Notifications API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from connector.core.channels import COMBINED_CHARACTERS, PLACEHOLDER, kind_of
from connector.settings.addresses import HttpUrl
from connector.settings.fields import Document, PositiveSeconds, checked
from connector.settings.platform import PlatformSettings, platform_faults, with_own_headers
from connector.settings.secret_files import Fault

KIND = "genesys-notifications"
STREAM_DEFAULTS: Mapping[str, Any] = {
    "key": ["/eventBody/conversationId", "/conversationId", "/eventBody/userId", "/eventBody/id", "/topicName"],
    "type": "/topicName",
    "time": "/eventBody/eventTime",
}
"""Where a notification has what other platforms have at the top of an event. Conversations of a back-fill have their id
at the top too, and the topic is the last resort: it names the user or queue that some bodies don't."""
_REGION = re.compile(r"mypurecloud\.(com|ie|de|jp|com\.au)|[a-z0-9-]+\.pure\.cloud")


def _region(region: str) -> str:
    if not _REGION.fullmatch(region):
        raise ValueError("should be a region of Genesys Cloud, such as mypurecloud.de or usw2.pure.cloud")
    return region


def _topic(topic: str) -> str:
    if not re.fullmatch(r"v2\.[A-Za-z0-9._{}?&-]+", topic) or len(topic) > COMBINED_CHARACTERS:
        raise ValueError("should be a topic such as v2.routing.queues.{id}.conversations, of at most 200 characters")
    rest = topic.replace(PLACEHOLDER, "", 1)
    if "{" in rest or "}" in rest:
        raise ValueError("should have no placeholder but {id}, once")
    if rest != topic and kind_of(topic) is None:
        raise ValueError("{id} can stand for queues and users only; write other ids out")
    return topic


Topic = Annotated[str, AfterValidator(_topic)]


def _preset(platform: Document) -> dict[str, Any]:
    """The token endpoint follows from the region."""
    document = dict(platform)
    login, auth = _login_url(document), document.get("auth")
    if isinstance(auth, Mapping) and login is not None and not auth.keys() & {"token_url", "issuer_url"}:
        document["auth"] = {**auth, "token_url": f"{login}/oauth/token"}
    return with_own_headers(document)


def _login_url(platform: Document) -> str | None:
    if isinstance(platform.get("login_url"), str):
        return str(platform["login_url"]).rstrip("/")
    region = platform.get("region")
    return f"https://login.{region}" if isinstance(region, str) and _REGION.fullmatch(region) else None


def _faults(platform: Document) -> Iterator[Fault]:
    yield from platform_faults(platform)
    if (platform.get("region") is None) == (platform.get("api_url") is None):
        yield Fault(("region",), "required, or api_url and login_url in its place")


class NotificationsSettings(PlatformSettings):
    """Genesys Cloud by its Notifications API: channels of topics, without positions and without replay."""

    kind: Literal["genesys-notifications"] = Field(description="The adapter.")
    region: Annotated[str, AfterValidator(_region)] | None = Field(
        default=None, description="The organisation's region: `mypurecloud.de`, `usw2.pure.cloud`."
    )
    api_url: HttpUrl | None = Field(
        default=None, description="The API's address in place of `https://api.{region}`: a gateway, a test."
    )
    login_url: HttpUrl | None = Field(
        default=None,
        description="The login server in place of `https://login.{region}`; `auth.token_url` follows from it.",
    )
    names_refresh_seconds: PositiveSeconds = Field(
        default=300,
        description="How often queues and users behind `{id}` are listed anew, and all topics subscribed again.",
    )
    _checked = checked(_faults, secrets=("proxy",), prepare=_preset)

    @property
    def contiguous(self) -> bool:
        """Positions are the bridge's own ordinals."""
        return True

    @property
    def api(self) -> str:
        """Where the API is."""
        return (self.api_url or f"https://api.{self.region}").rstrip("/")

    @property
    def addresses(self) -> dict[str, str | None]:
        """See :class:`PlatformSettings`."""
        return {"region" if self.api_url is None else "api_url": self.api}
