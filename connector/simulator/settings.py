"""What a simulated platform is like. Everything is fixed at the start; what changes later is a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["genesys-sequence", "nice-offset"]
ExpiredPosition = Literal["head", "oldest", "refuse"]

_POSITION_NAMES: dict[Kind, str] = {"genesys-sequence": "sequenceId", "nice-offset": "offset"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """The platform's properties; seconds in ``_s``, bytes in ``_bytes``.

    kind             decides the position's name, both the query parameter and the field of an event
    rate             events a second and stream; 0: only the backlog and what faults push
    backlog          events that exist at the start. They count as arrived then, so ``retention_s`` later they are
                     gone: a catch-up that takes longer wants a longer retention
    payload_bytes    pads an event to about this size; 0: as it comes (350 to 650 bytes)
    batch            most events in one array frame; 1: one event (an object) a frame
    conversations    concurrently active conversations of a stream
    token_life_s     life of a token; ``exp`` and ``iat`` are whole seconds where this is
    token_burst_s    token requests of a client closer together than this get 429; 0: never
    access_key       user name and password of the password grant
    assertion_key    PEM of the public key that verifies JWT bearer assertions, whose issuer is ``client_id``; "": none
    opaque_tokens    tokens without readable claims
    omit_expires_in  a token answer without ``expires_in``
    reissue          a new token leaves the former ones of its client alive, or revokes them
    clock_skew_s     the platform's clock minus the machine's: exp, iat, Date, eventTime, asOf (not ``emittedAtMs``)
    retention_s      how long an event can be asked for
    expired_position what a position older than that gets: the present, the oldest event, or status 410
    resume           a socket opened at N begins after N or with N itself
    max_sockets      of one stream at a time, the next is refused with 409; 0: any number
    open_delay_s     a new socket is silent for so long
    close_code       of a socket whose token has died
    """

    kind: Kind = "genesys-sequence"
    seed: int = 1
    rate: float = 100.0
    backlog: int = 0
    payload_bytes: int = 0
    batch: int = 1
    conversations: int = 500
    client_id: str = "simulator"
    client_secret: str = "simulator-secret"  # noqa: S105 - a simulator's well-known secret guards nothing
    access_key: tuple[str, str] = ("simulator-key", "simulator-key-secret")
    assertion_key: str = ""
    token_life_s: float = 3600.0
    token_burst_s: float = 0.0
    opaque_tokens: bool = False
    omit_expires_in: bool = False
    reissue: Literal["keeps", "revokes"] = "keeps"
    clock_skew_s: float = 0.0
    retention_s: float = 120.0
    expired_position: ExpiredPosition = "head"
    resume: Literal["after", "at"] = "after"
    max_sockets: int = 0
    open_delay_s: float = 0.0
    close_code: Literal[1008, 4001] = 1008

    def __post_init__(self) -> None:
        """Refuse what has no meaning; raises ``ValueError`` with every fault."""
        faults = [
            f"{name} must be greater than 0" for name in ("token_life_s", "retention_s") if self._not_above(name, 0)
        ]
        faults += [f"{name} must be at least 1" for name in ("batch", "conversations") if self._not_above(name, 0)]
        zero_or_more = ("rate", "backlog", "payload_bytes", "token_burst_s", "max_sockets", "open_delay_s")
        faults += [f"{name} must not be negative" for name in zero_or_more if getattr(self, name) < 0]
        if self.kind not in _POSITION_NAMES:
            faults.append(f"kind must be one of {', '.join(_POSITION_NAMES)}")
        if faults:
            raise ValueError("; ".join(faults))

    def _not_above(self, name: str, bound: float) -> bool:
        return bool(getattr(self, name) <= bound)

    @property
    def position_name(self) -> str:
        """``sequenceId`` or ``offset``."""
        return _POSITION_NAMES[self.kind]
