"""Writing checkpoints while no bridge runs, as a lane itself would: through its transactional.id (KAFKA.md 17)."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connector.core.checkpoint import LANES_KEY, encode
from connector.errors import PrerequisiteError
from connector.kafka.checkpoints import LaneCheckpoints, lanes_record
from connector.kafka.client import KafkaClient, error_name
from connector.kafka.reports import DeliveryReports
from connector.kafka.transactor import Doubt, Transactor
from connector.model import Checkpoint

_REQUEST_S = 10.0
_PATIENCE_S = 60.0  # longer than a dead worker's transaction stays open


class IdleGroup:
    """A group without members, whose checkpoints may be written. Every method blocks and raises KafkaException."""

    def __init__(self, client: KafkaClient, lanes: int) -> None:
        self._client = client
        self._lanes = lanes
        self._deadline = 0.0

    def insist(self) -> None:
        """Raises ``PrerequisiteError`` where the group has members."""
        if members := self.members():
            raise PrerequisiteError(
                f"group {self._client.group} has {members} workers, which own its checkpoints: stop them first, or use "
                f"ccaas-bridge checkpoint set for a stopped stream"
            )

    def members(self) -> int:
        """How many workers run."""
        group = self._client.group
        admin = AdminClient(self._client.common())  # kept until the answer is here, which else never comes
        asked = admin.describe_consumer_groups([group], request_timeout=_REQUEST_S)
        try:
            return len(asked[group].result(2 * _REQUEST_S).members)
        except FutureTimeoutError as error:
            raise KafkaException(f"group {group} was not described within {2 * _REQUEST_S:g} s") from error
        except KafkaException as error:
            if error_name(error) != "GROUP_ID_NOT_FOUND":
                raise
            return 0

    def write(self, lane: int, checkpoints: Collection[Checkpoint], worker: str) -> list[str]:
        """Write those of a lane in one transaction; returns the streams that had one already and keep it.

        The init fences a worker that starts meanwhile; what such a worker wrote before is seen, and stands.
        """
        self.insist()
        self._deadline = time.monotonic() + _PATIENCE_S
        transactor = Transactor(self._client, lane, (), self._still)
        try:
            transactor.initialise(self._still)
            known = LaneCheckpoints(self._client, lane)
            there = known.read(self._still)
            reports = DeliveryReports()
            transactor.begin()
            now_ms = time.time_ns() // 1_000_000
            for checkpoint in checkpoints:
                if checkpoint.stream not in there:
                    transactor.checkpoint(checkpoint.stream, encode(checkpoint, worker, now_ms), reports.own)
            if lane == 0 and known.made_for is None:
                transactor.checkpoint(LANES_KEY, lanes_record(self._lanes), reports.own)
            while not transactor.flush():
                self._still()
            if reports.failures:
                raise KafkaException(f"a checkpoint was refused: {reports.failures[0].error}")
            transactor.commit()
        except Doubt as doubt:
            transactor.discard()
            raise KafkaException(f"lane {lane}: {doubt}; nothing is written, or all: look, and try again") from doubt
        return sorted(there.keys() & {checkpoint.stream for checkpoint in checkpoints})

    def _still(self) -> None:
        if time.monotonic() > self._deadline:
            raise KafkaException(f"no answer within {_PATIENCE_S:g} s; is a transaction open in the checkpoint topic?")
