"""From settings to plans: what each part is told, as plain values. No client is built here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from connector.auth.grants import (
    Address,
    ClientAuth,
    ClientCredentials,
    Common,
    GrantType,
    JwtBearer,
    KeyFile,
    Password,
)
from connector.auth.redis_link import RedisPlan
from connector.core.access import Guard
from connector.core.assertion import AssertionPlan
from connector.core.boundary import CommitPolicy
from connector.core.envelope import Envelope, StreamIdentity
from connector.core.notifications import identity
from connector.core.pointer import compile_pointer
from connector.core.reconnect import NetworkPolicy
from connector.core.redaction import Redaction
from connector.core.routing import Route, Router
from connector.core.states import TOKEN_REVOKED, Policy
from connector.kafka.client import KafkaClient
from connector.kafka.topics import TopicPlan
from connector.model import Serialise
from connector.registry.plan import FormPlan, RegistryPlan
from connector.settings import (
    AuthSettings,
    ClientCredentialsAuth,
    HttpSettings,
    JwtBearerAuth,
    NetworkSettings,
    PasswordAuth,
    PlatformSettings,
    RedisSettings,
    SchemaRegistrySettings,
    SequenceSettings,
    Settings,
    StreamSettings,
    TlsSettings,
)
from connector.stream.parts import StreamPlan

_CLOSE_CODES = range(1000, 5000)  # RFC 6455 §7.4


def kafka_client(settings: Settings) -> KafkaClient:
    """How to reach the cluster, and the worker's place in its group."""
    membership = settings.membership
    return KafkaClient(
        settings.kafka.bootstrap_servers,
        settings.group,
        settings.kafka.client_properties(),
        membership.session_timeout_seconds,
        membership.heartbeat_seconds,
        membership.protocol,
    )


def topic_plan(settings: Settings) -> TopicPlan:
    """How missing topics are made."""
    return TopicPlan(settings.topics.create, settings.topics.partitions, settings.topics.replication_factor)


def commit_policy(settings: Settings) -> CommitPolicy:
    """When a lane ends a transaction."""
    commit = settings.commit
    return CommitPolicy(commit.linger_seconds, commit.max_events, commit.max_bytes, commit.max_per_second)


def event_topics(settings: Settings) -> list[str]:
    """Every topic that some stream writes events to."""
    return sorted({topic for s in settings.streams for topic in [s.topic, *(r.topic for r in s.routes)]})


def streams_by_lane(settings: Settings) -> dict[int, list[str]]:
    """Every lane → names of its streams."""
    lanes: dict[int, list[str]] = {number: [] for number in range(settings.lanes)}
    for stream in settings.streams:
        lanes[settings.lane_of(stream.name)].append(stream.name)
    return lanes


def platform_of(settings: Settings) -> dict[str, str]:
    """Every stream → its platform."""
    return {stream.name: stream.platform for stream in settings.streams}


def token_grant(auth: AuthSettings) -> GrantType:
    """The platform's OAuth grant."""
    common = Common(
        Address(auth.token_url) if auth.token_url is not None else Address(auth.issuer_url or "", is_issuer=True),
        _client_auth(auth),
        tuple(auth.scopes),
        {name: value.get_secret_value() for name, value in auth.extra_parameters.items()},
        as_json=not isinstance(auth, JwtBearerAuth) and auth.request_body == "json",
    )
    match auth:
        case PasswordAuth():
            return Password(common, auth.username, auth.password.get_secret_value())
        case JwtBearerAuth():
            plan = AssertionPlan(
                auth.issuer, auth.subject, auth.audience, auth.algorithm, auth.kid, auth.assertion_lifetime_seconds
            )
            return JwtBearer(common, plan, KeyFile(auth.private_key_file))
        case ClientCredentialsAuth():
            return ClientCredentials(common)


def token_facts(auth: AuthSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes two OAuth clients the same one, so that they may share a token: the legible facts, and the secret."""
    own = {
        PasswordAuth: ("username",),
        JwtBearerAuth: ("issuer", "subject", "audience"),
        ClientCredentialsAuth: (),
    }[type(auth)]
    address = auth.token_url or f"{auth.issuer_url} (issuer)"
    facts = (address, auth.grant, auth.client_id or "", *(str(getattr(auth, name)) for name in own))
    extra = sorted((name, value.get_secret_value()) for name, value in auth.extra_parameters.items())
    return (*facts, *sorted(auth.scopes)), tuple(part for pair in extra for part in pair)


def credential(auth: AuthSettings) -> tuple[str, ...]:
    """The secrets that a worker shows the OAuth server; they may differ while they are being rotated."""
    secrets = (auth.client_secret, auth.password if isinstance(auth, PasswordAuth) else None)
    return tuple("" if secret is None else secret.get_secret_value() for secret in secrets)


def redis(settings: RedisSettings) -> RedisPlan:
    """Where Redis is."""
    return RedisPlan(
        settings.url.get_secret_value(),
        None if settings.password is None else settings.password.get_secret_value(),
        None if settings.ca_file is None else str(settings.ca_file),
    )


def _client_auth(auth: AuthSettings) -> ClientAuth | None:
    if auth.client_id is None:
        return None
    secret = "" if auth.client_secret is None else auth.client_secret.get_secret_value()
    return ClientAuth(auth.client_id, secret, auth.client_auth)


def registry(settings: SchemaRegistrySettings) -> RegistryPlan:
    """Where the schema registry is."""
    password = settings.password
    return RegistryPlan(
        settings.url,
        None if password is None else (settings.username or "", password.get_secret_value()),
        settings.ca_file,
        settings.certificate_file,
        settings.key_file,
        settings.timeout_seconds,
        settings.auto_register,
        settings.subject,
    )


def forms(streams: Iterable[StreamSettings]) -> list[FormPlan]:
    """Topics that have a schema, each once."""
    found = (form for stream in streams for form in stream.forms())
    return list(dict.fromkeys(FormPlan(f.topic, f.value, f.schema_file) for f in found if f.value != "raw"))


def envelope(
    settings: Settings, stream: StreamSettings, serialise: Mapping[str, Serialise] = MappingProxyType({})
) -> Envelope:
    """What a stream's events become; ``serialise``: by topic, where it has a schema."""
    routes = [
        Route(
            route.match.event_type,
            route.topic,
            urgent=route.priority == "high",
            redaction=_redaction([*stream.redact, *route.redact], whole=route.drop),
        )
        for route in stream.routes
    ]
    return Envelope(
        StreamIdentity(settings.group, stream.platform, stream.name),
        Router(stream.topic, routes, _redaction(stream.redact), serialise),
        key=stream.key,
        event_type=stream.type,
        type_prefix=stream.type_prefix,
        traceparent=settings.platform_of(stream).traceparent,
    )


def _redaction(pointers: list[str], *, whole: bool = False) -> Redaction | None:
    return Redaction(pointers, whole=whole) if pointers or whole else None


def stream_plan(settings: Settings, stream: StreamSettings) -> StreamPlan:
    """What the configuration says about one stream."""
    platform = settings.platform_of(stream)
    sequence = platform if isinstance(platform, SequenceSettings) else None
    resumes = sequence is not None and sequence.resume == "position"
    retention_s = sequence.retention_seconds if sequence is not None and resumes else None
    return StreamPlan(
        name=stream.name,
        topic=stream.topic,
        start=stream.start,
        on_gap=settings.on_gap(stream),
        contiguous=sequence is None or sequence.contiguous,
        resumes=resumes,
        policy=_policy(settings, platform, retention_s, resumes=resumes),
        event_time=compile_pointer(stream.time),
        identity=identity if sequence is None else None,
        quiet_s=platform.ping_seconds if sequence is None else None if retention_s is None else retention_s / 4,
        expired_position_code=None if sequence is None else _close_code(sequence.expired_position),
        snapshot_patience_s=platform.snapshot.max_wait_seconds,
        buffer_events=stream.buffer.events,
        buffer_bytes=stream.buffer.bytes,
    )


def _policy(settings: Settings, platform: PlatformSettings, retention_s: float | None, *, resumes: bool) -> Policy:
    """How the stream's sockets are dialled, watched and exchanged."""
    return Policy(
        network=_network(settings.network, retention_s),
        expired_codes=frozenset({*platform.close_codes_expired, TOKEN_REVOKED}),
        overlap=not isinstance(platform, SequenceSettings) or platform.handover == "overlap",
        resumes=resumes,
        reissue_revokes=platform.auth.reissue == "revokes",
        jitter_s=settings.rotation.jitter_seconds,
        ping_s=platform.ping_seconds,
        keepalive_s=platform.idle_keepalive_seconds,
        silence_s=platform.silence_seconds,
    )


def guard(http: HttpSettings) -> Guard:
    """What keeps the management listener."""
    token, read_token = (None if t is None else t.get_secret_value() for t in (http.token, http.read_token))
    return Guard(token, read_token, certified=http.tls is not None and http.tls.client_ca_file is not None)


def tls_files(tls: TlsSettings) -> tuple[str, str, str | None]:
    """Certificate, key, and the authority of the clients' certificates if they must show one."""
    return str(tls.certificate_file), str(tls.key_file), None if tls.client_ca_file is None else str(tls.client_ca_file)


def _network(network: NetworkSettings, retention_s: float | None) -> NetworkPolicy:
    return NetworkPolicy(
        network.backoff_seconds,
        network.backoff_max_seconds,
        network.breaker_failures,
        network.breaker_seconds,
        retention_s,
    )


def _close_code(refusal: int | str) -> int | None:
    """How the platform refuses a position that it no longer has, where that is by a close code."""
    return refusal if isinstance(refusal, int) and refusal in _CLOSE_CODES else None
