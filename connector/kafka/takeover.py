"""A lane's first steps with a new producer: fence, read how far the lane has come, end what Kafka forgot to end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from connector.core.checkpoint import written_since
from connector.core.transaction import Cure
from connector.kafka.checkpoints import LaneCheckpoints
from connector.kafka.client import KafkaClient, describe
from connector.kafka.leftovers import Leftovers
from connector.kafka.offsets import end_offsets
from connector.kafka.services import LaneServices
from connector.kafka.transactor import Doubt, Transactor
from connector.model import Checkpoint

_BLOCKED_S = 3.0
"""Kafka writes the markers of what an init aborts within a second (rule 5)."""
_REQUEST_S = 5.0
_POLL_S = 0.1

_log = logging.getLogger("connector.lane")


class Takeover:
    """One attempt, with one transactor.

    Once an init has returned, no transaction of the lane's transactional id is open, as far as the coordinator knows.
    It can be mistaken: where a partition has no leader at the moment, because its only broker crashed, Kafka takes it
    for deleted and never writes the marker. Readers of that partition then wait for ever, and the next commit of the
    same producer id would commit what was left open. So a transaction of ours enters the same partitions and takes what
    was left open with it to the same end. Which end: a partition that was not forgotten tells, by a record that came
    with the undecided checkpoint; committed there, it is committed here. Else the next init aborts both, as the first
    init should have; what is lost by it is replayed, since its checkpoint goes with it.
    """

    def __init__(
        self,
        lane: int,
        services: LaneServices,
        transactor: Transactor,
        *,
        still: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        """``still`` is called between waits, and raises to give up; ``tell`` gets the state while it is blocked."""
        self._lane = lane
        self._services = services
        self._transactor = transactor
        self._still = still
        self._tell = tell
        self._give_up_at = 0.0

    def read(self, checkpoints: LaneCheckpoints, *, control: bool) -> Mapping[str, Checkpoint]:
        """Fence the former owner; every stream's last checkpoint. Raises Doubt (rules 1, 2, 5, 8).

        ``control``: what streams are to do is read to its end too, since they are about to open (rule 17).
        """
        self._transactor.initialise(self._still)
        self._give_up_at = time.monotonic() + _BLOCKED_S
        try:
            read = checkpoints.read(lambda: self._blocked(checkpoints))
            self._end_leftovers(checkpoints.leftovers, read)
            if control:
                self._services.read_control(self._still)
        except KafkaException as error:
            raise Doubt("checkpoint", Cure.RENEW, describe(error)) from error
        self._still()  # or a lane given away would be announced, maybe to its successor in this worker
        return read

    def _blocked(self, checkpoints: LaneCheckpoints) -> None:
        self._still()
        self._tell("blocked: another producer's transaction is open in the lane's partition")
        if time.monotonic() < self._give_up_at:
            return
        services = self._services
        client = services.client
        topics = [client.checkpoints_topic, client.gaps_topic, client.dead_letter_topic, *services.limits()]
        open_in = unfinished(client, services.topics.partitions(topics))
        commit = self._committed_elsewhere(checkpoints, open_in)
        end = "committed, as it is elsewhere" if commit else "aborted"
        _log.warning("lane %d is blocked; what its producer id left open in %s is %s", self._lane, _names(open_in), end)
        self._transactor.enter(open_in)
        if commit:
            self._transactor.commit()
        raise Doubt("checkpoint", Cure.RENEW, "the lane's partition was blocked")

    def _end_leftovers(self, leftovers: Leftovers, read: Mapping[str, Checkpoint]) -> None:
        """What the lane's partition knows nothing of, the lane's next commit must not commit: it will come again."""
        services = self._services
        topics = [services.client.gaps_topic, services.client.dead_letter_topic, *services.limits()]
        found = leftovers.find(services.topics.partitions(topics), read)
        give_up_at = time.monotonic() + _BLOCKED_S
        while found := leftovers.still_open(found) if found else {}:
            self._still()
            self._tell("blocked: what an init aborted is still open in event partitions")
            if time.monotonic() >= give_up_at:
                self._abort(leftovers, found)
            time.sleep(_POLL_S)

    def _abort(self, leftovers: Leftovers, found: Mapping[tuple[str, int], int]) -> None:
        places = [TopicPartition(*at) for at in found]
        _log.warning("lane %d: what its producer id left open in %s is aborted", self._lane, _names(places))
        self._transactor.enter(places)
        leftovers.ended(found)
        raise Doubt("events", Cure.RENEW, "a former transaction was open in event partitions")

    def _committed_elsewhere(self, checkpoints: LaneCheckpoints, open_in: list[TopicPartition]) -> bool:
        """Whether readers see a record, in another partition, that came with what is left open here."""
        forgotten = {(at.topic, at.partition) for at in open_in}
        written = written_since(checkpoints.committed, checkpoints.undecided())
        decided = [TopicPartition(*place) for place in sorted(written) if place[:2] not in forgotten]
        return any(visible(self._services.client, place) for place in decided)


def visible(client: KafkaClient, place: TopicPartition) -> bool:
    """Whether a read_committed reader finds a record at this offset, which lies before the stable offset."""
    deadline = time.monotonic() + _REQUEST_S
    consumer = Consumer(client.reader())
    try:
        consumer.assign([place])
        while time.monotonic() < deadline:
            message = consumer.poll(_POLL_S)
            if message is not None:
                return message.error() is None and message.offset() == place.offset
            if consumer.position([place])[0].offset > place.offset:
                return False
    finally:
        consumer.close()
    raise Doubt("open transactions", Cure.RENEW, f"{place.topic}[{place.partition}] cannot be read at {place.offset}")


def unfinished(client: KafkaClient, partitions: Mapping[str, int]) -> list[TopicPartition]:
    """The partitions of these topics (topic → how many) in which some transaction is open.

    Raises Doubt where Kafka does not answer.
    """
    admin = AdminClient(client.common())
    places = [(topic, partition) for topic, count in partitions.items() for partition in range(count)]
    try:
        stable = end_offsets(admin, places, IsolationLevel.READ_COMMITTED)
        ends = end_offsets(admin, places, IsolationLevel.READ_UNCOMMITTED)
    except KafkaException as error:
        raise Doubt("open transactions", Cure.RENEW, describe(error)) from error
    return [TopicPartition(*at) for at, offset in stable.items() if offset < ends[at]]


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{at.topic}[{at.partition}]" for at in partitions) or "no partition"
