"""The configuration: one file, the environment over it, secrets from files; every fault at once.

``load`` is the only reader of files and environment. The models are frozen; ``docs/configuration.md`` is made
from them (``python -m connector.settings_reference``).
"""

from connector.settings.auth import AuthSettings, ClientCredentialsAuth, JwtBearerAuth, PasswordAuth
from connector.settings.caution import warnings
from connector.settings.change import Change, difference, digest, refused
from connector.settings.http import HttpSettings, TlsSettings
from connector.settings.kafka import CommitSettings, KafkaSettings, MembershipSettings, TopicsSettings
from connector.settings.kinds import KINDS, AnyPlatform
from connector.settings.loading import load
from connector.settings.notifications import NotificationsSettings
from connector.settings.platform import PlatformSettings, PositionSettings, SequenceSettings, SnapshotSettings
from connector.settings.redis import RedisSettings
from connector.settings.registry import SchemaRegistrySettings
from connector.settings.root import Settings
from connector.settings.source import ConfigurationSource
from connector.settings.stream import MatchSettings, RouteSettings, StreamBufferSettings, StreamSettings, TopicForm
from connector.settings.worker import NetworkSettings, RotationSettings, WorkerBufferSettings

__all__ = [
    "KINDS",
    "AnyPlatform",
    "AuthSettings",
    "Change",
    "ClientCredentialsAuth",
    "CommitSettings",
    "ConfigurationSource",
    "HttpSettings",
    "JwtBearerAuth",
    "KafkaSettings",
    "MatchSettings",
    "MembershipSettings",
    "NetworkSettings",
    "NotificationsSettings",
    "PasswordAuth",
    "PlatformSettings",
    "PositionSettings",
    "RedisSettings",
    "RotationSettings",
    "RouteSettings",
    "SchemaRegistrySettings",
    "SequenceSettings",
    "Settings",
    "SnapshotSettings",
    "StreamBufferSettings",
    "StreamSettings",
    "TlsSettings",
    "TopicForm",
    "TopicsSettings",
    "WorkerBufferSettings",
    "difference",
    "digest",
    "load",
    "refused",
    "warnings",
]
