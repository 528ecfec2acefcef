"""The group from outside: who has which lane, and how far a stream has come. Every method blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connector.errors import CheckpointVersionError, ControlUnavailableError
from connector.kafka.checkpoints import LaneCheckpoints
from connector.kafka.client import KafkaClient, describe
from connector.model import Checkpoint

_REQUEST_S = 3.0


class GroupReader:
    """Implements :class:`connector.management.Group`. Asks the cluster; changes nothing."""

    def __init__(self, client: KafkaClient, admin: AdminClient) -> None:
        self._client = client
        self._admin = admin

    def use(self, admin: AdminClient) -> None:
        """Ask by another client from now on."""
        self._admin = admin

    def owners(self) -> dict[int, str]:
        """See :class:`connector.management.Group`; a worker is the client.id of its member."""
        group = self._client.group
        try:
            asked = self._admin.describe_consumer_groups([group], request_timeout=_REQUEST_S)
            members = asked[group].result(2 * _REQUEST_S).members
        except (KafkaException, FutureTimeoutError) as error:
            raise ControlUnavailableError(f"the group could not be described: {describe(error)}") from error
        return {
            partition.partition: str(member.client_id)
            for member in members
            if member.assignment is not None
            for partition in member.assignment.topic_partitions
            if partition.topic == self._client.checkpoints_topic
        }

    def cluster_id(self) -> str:
        """See :class:`connector.management.Group`."""
        try:
            cluster = self._admin.list_topics(topic=self._client.checkpoints_topic, timeout=_REQUEST_S)
        except KafkaException as error:
            raise ControlUnavailableError(f"the cluster does not answer: {describe(error)}") from error
        return str(cluster.cluster_id)

    def checkpoints(self, lane: int) -> Callable[[], Mapping[str, Checkpoint]]:
        """See :class:`connector.management.Group`."""
        checkpoints = LaneCheckpoints(self._client, lane)

        def read() -> Mapping[str, Checkpoint]:
            deadline = time.monotonic() + _REQUEST_S
            try:
                return checkpoints.read(lambda: _give_up_at(deadline))
            except (KafkaException, CheckpointVersionError) as error:
                raise ControlUnavailableError(f"checkpoints of lane {lane}: {describe(error)}") from error

        return read


def _give_up_at(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise KafkaException("a transaction there does not end")
