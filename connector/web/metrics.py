"""Prometheus metrics: what is counted, with which labels. Rotation and network are never mixed.

Label values are bounded: streams, platforms, lanes and topics are the configuration's; classes and outcomes are the
code's own. Units are in the names.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from connector import __version__
from connector.build import commit

_M = TypeVar("_M", bound=MetricWrapperBase)

_COMMIT_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 30)
_ROTATION_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300)
_OVERLAP_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)


class Described(NamedTuple):
    """A metric for the reference page; ``name`` as it is queried."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Children(dict[str, _M]):
    """A metric's children by its only label, for what every batch counts: ``labels()`` is slow, and has a lock."""

    def __init__(self, metric: _M) -> None:
        super().__init__()
        self._metric: _M = metric

    def __missing__(self, label: str) -> _M:
        child = self[label] = self._metric.labels(label)
        return child


class Metrics:
    """All metrics of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.described: list[Described] = []
        self._gauges_of_streams: list[Gauge] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        gauge, counter = self._gauge, self._counter
        gauge("build_info", "What is running.", "version", "commit").labels(__version__, commit()).set(1)

        self.events = counter("events", "Events handed to Kafka.", "stream")
        self.event_bytes = counter("event_bytes", "Bytes of those events.", "stream")
        self.duplicates = counter("duplicates_dropped", "Events seen before, and dropped.", "stream")
        self.timestamps_clamped = counter("timestamps_clamped", "Record time stamps moved into the topic's.", "stream")
        self.redacted = counter("values_redacted", "Values that lost what must not reach Kafka.", "stream")
        self.holes = counter("holes_suspected", "Positions that did not come, and were asked for again.", "stream")
        self.gaps = counter("gaps", "Gap records.", "stream", "reason")
        self.gap_positions = counter("gap_positions", "Positions inside gap records.", "stream")
        self.dead_letters = counter("dead_letters", "Items unreadable, or refused by Kafka.", "stream", "reason")
        self.poison_alerts = counter("poison_alerts", "Times that unreadable items began to come often.", "stream")
        self.lag_seconds = gauge("lag_seconds", "Platform's now minus the last committed event's time.", "stream")
        self.position = gauge("committed_position", "Last committed position.", "stream")
        self.complete_until = gauge("complete_until_timestamp_seconds", "Until then nothing is missing.", "stream")
        self.buffer_events = gauge("buffer_events", "Events in hand.", "stream")
        self.buffer_bytes = gauge("buffer_bytes", "Bytes in hand.", "stream")
        self.reading_paused = gauge("reading_paused", "1 while the socket is not read: the buffer is full.", "stream")
        self.stream_state = gauge("stream_state", "1 for the state the stream is in.", "stream", "state")
        self.suspended = gauge("stream_suspended", "1 while a topic of the stream cannot be written.", "stream")
        self.stream_faults = counter("stream_faults", "Faults of the bridge's own in a stream.", "stream")

        self.commits = counter("committed_batches", "Commits of a stream's records.", "stream")

        self.rotations = counter("rotations", "Token rotations done.", "stream", "how")
        self.rotation_overlap = self._histogram("rotation_overlap_seconds", "Two sockets open.", _OVERLAP_BUCKETS)
        self.rotation_took = self._histogram("rotation_seconds", "From the token to its socket.", _ROTATION_BUCKETS)
        self.rotation_failures = counter(
            "rotation_failures", "New sockets that failed in a rotation.", "stream", "cause"
        )
        self.auth_failures = counter("auth_failures", "Sockets or dials refused for the token's sake.", "stream")
        self.tokens = counter("token_requests", "Tokens had, and attempts that failed.", "platform", "outcome")
        self.redis_up = gauge("redis_up", "1 while workers share tokens; no sample without redis.", "use")
        self.token_expiry = gauge(
            "token_expiry_timestamp_seconds", "When the token dies (platform's clock).", "platform"
        )
        self.token_left = gauge(
            "token_left_seconds", "Life of the token in use, 0: there is none. NaN: unused, or unknown.", "platform"
        )
        self.clock_skew = gauge("clock_skew_seconds", "Platform's clock minus ours.", "platform")

        self.connects = counter("connects", "Sockets dialled.", "stream", "why")
        self.network_failures = counter("network_failures", "Dials or sockets lost to the network.", "stream", "cause")
        self.breaker_open = gauge("breaker_open", "1 while the circuit breaker is open.", "stream")
        self.backoff_seconds = gauge("backoff_seconds", "Wait before the next network dial.", "stream")

        self._describe_worker()

    def _describe_worker(self) -> None:
        gauge, counter = self._gauge, self._counter
        self.lane_commits = self._histogram("commit_seconds", "From begin to commit of a transaction.", _COMMIT_BUCKETS)
        self.producer_renewals = counter("producer_renewals", "Producers replaced after a doubt.", "cause")
        self.configuration_reads = counter("configuration_reads", "Readings of a changed configuration.", "outcome")
        self.configuration_refused = gauge("configuration_refused", "1 while the last reading was refused.")
        self.configuration_differs = gauge("configuration_differs", "Workers that run with another configuration.")
        self.lanes_owned = gauge("lanes_owned", "Lanes that the group gave to this worker.")
        self.lanes_serving = gauge("lanes_serving", "Those of them that write what their streams bring.")
        self.lanes_configured = gauge("lanes_configured", "Lanes of the whole group.")
        self.rebalances = counter("rebalances", "Times the group gave lanes, took them, or lost sight of us.", "change")

    def forget(self, stream: str) -> None:
        """Show no more how the stream is: another worker knows. What was counted stays counted."""
        for gauge in self._gauges_of_streams:
            gauge.remove_by_labels({"stream": stream})

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        self.described.append(Described(f"ccaas_{name}_total", "counter", labels, what))
        return Counter(f"ccaas_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        self.described.append(Described(f"ccaas_{name}", "gauge", labels, what))
        gauge = Gauge(f"ccaas_{name}", what, labels, registry=self.registry)
        if "stream" in labels:
            self._gauges_of_streams.append(gauge)
        return gauge

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        self.described.append(Described(f"ccaas_{name}", "histogram", (), what))
        return Histogram(f"ccaas_{name}", what, (), buckets=buckets, registry=self.registry)
