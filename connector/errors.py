"""Every exception of the bridge.

    BridgeError
    ├── ConfigurationError     the user's file, environment or command line: exit 2
    ├── LaneMismatchError      configured lanes differ from the topic's: exit 2
    ├── PrerequisiteError      something outside is missing (topic, permission): exit 3
    ├── IllegalTransitionError a state machine was told something its state does not allow: a bug
    ├── DialError              a WebSocket could not be opened (``failure`` says which kind)
    ├── TokenError             the token endpoint did not give a token (``retry_after_s`` if it said when)
    │   └── TokenPausedError   it was not asked: it has just failed another worker
    ├── SchemaUnavailableError the registry does not give a topic's schema: its streams wait
    ├── SharingError           Redis cannot be used now: the worker asks for tokens itself
    ├── CheckpointVersionError a checkpoint of an unknown major version: the lane is refused
    ├── ControlUnavailableError what a stream should do could not be written: Kafka is away
    └── NotStoppedError        a position is changed for stopped streams only

A library's exception is translated into one of these once, at the edge, with ``from exc``. Expected outcomes
(a duplicate, a hole, an unreadable frame) are return values, not exceptions. No message holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.model import DialFailure


class BridgeError(Exception):
    """Root of the tree: whatever the bridge itself raises."""


class ConfigurationError(BridgeError):
    """The configuration cannot be used; the message lists every fault with its path."""


class LaneMismatchError(BridgeError):
    """The configured number of lanes is not the one the checkpoint topic was made with."""


class PrerequisiteError(BridgeError):
    """Something outside the bridge is missing; the message says what and how to provide it."""


class IllegalTransitionError(BridgeError):
    """A state machine received an input that its state does not allow. Nothing has changed."""


class DialError(BridgeError):
    """A WebSocket handshake failed."""

    def __init__(self, failure: DialFailure) -> None:
        super().__init__(failure.describe())
        self.failure = failure


class TokenError(BridgeError):
    """The token endpoint refused or could not be reached."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class TokenPausedError(TokenError):
    """Nothing was asked, since the endpoint has just failed another worker."""

    def __init__(self, left_s: float) -> None:
        super().__init__("the endpoint has just failed another worker, whose log says how", retry_after_s=left_s)


class SharingError(BridgeError):
    """Redis did not do what was asked, or is known to be away; the message says what to check."""


class SchemaUnavailableError(BridgeError):
    """A topic's schema cannot be had from the registry now; the message says why."""


class CheckpointVersionError(BridgeError):
    """A checkpoint was written by a bridge whose format this one does not know."""


class ControlUnavailableError(BridgeError):
    """The control topic could not be written or read in time; nothing is known to have changed."""


class NotStoppedError(BridgeError):
    """A change of position was asked for a stream that is not told to be stopped."""
