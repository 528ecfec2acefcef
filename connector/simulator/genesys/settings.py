"""What a simulated Genesys Cloud is like. Fixed at the start; what changes later is a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesysSettings:
    """The platform's properties; seconds in ``_s``.

    rate            happenings a second; each is one to four notifications. 0: only what is pushed
    conversations   concurrently active conversations
    clients         OAuth client id → secret; the cap on channels counts for each
    token_life_s    life of a token; Genesys lets the administrator choose 5 minutes to 48 hours, by default a day
    token_idle_s    ends a token on which no REST request was made for so long; 0: nothing does. An organisation may
                    set 5 minutes to 8 hours, one under HIPAA at most 15 minutes
    channel_life_s  life of a channel since it was last subscribed
    max_channels    of one client; one more evicts
    max_topics      of one channel; one more is refused
    rate_allowed    REST requests of one token within ``rate_window_s``; one more gets 429
    heartbeat_s     between two heartbeats on a socket
    clock_skew_s    the platform's clock minus the machine's
    details_lag_s   how long it takes until the details query knows of what happened
    correlation     ``metadata.CorrelationId`` differs for each delivery, or only for each event
    channel_owner   who may name a channel: every token of the client, or only the one that made it
    dead_socket     the socket of a channel that is no more stays open with heartbeats, or is closed
    displaced_code  closes a channel's socket when a second one comes
    """

    seed: int = 1
    rate: float = 20.0
    conversations: int = 50
    queues: int = 6
    users: int = 24
    clients: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"simulator": "simulator-secret"}))
    token_life_s: float = _DAY_S
    token_idle_s: float = 0.0
    channel_life_s: float = _DAY_S
    max_channels: int = 20
    max_topics: int = 1000
    rate_allowed: int = 300
    rate_window_s: float = 60.0
    heartbeat_s: float = 30.0
    clock_skew_s: float = 0.0
    details_lag_s: float = 0.0
    correlation: Literal["delivery", "event"] = "delivery"
    channel_owner: Literal["app", "token"] = "app"
    dead_socket: Literal["starves", "closes"] = "starves"
    displaced_code: int = 1001

    def __post_init__(self) -> None:
        """Refuse what has no meaning; raises ``ValueError`` with every fault."""
        above_zero = (
            "conversations", "queues", "users", "token_life_s", "channel_life_s", "max_channels", "max_topics",
            "rate_allowed", "rate_window_s", "heartbeat_s",
        )  # fmt: skip
        faults = [f"{name} must be greater than 0" for name in above_zero if getattr(self, name) <= 0]
        faults += [
            f"{name} must not be negative"
            for name in ("rate", "details_lag_s", "token_idle_s")
            if getattr(self, name) < 0
        ]
        if not self.clients:
            faults.append("there must be a client")
        if faults:
            raise ValueError("; ".join(faults))
