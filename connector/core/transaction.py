"""What a Kafka error means for a transaction, and the search for a record at fault (KAFKA.md 1-3, 12).

The lane's writer has one cure for every doubt: discard the producer, initialise a new one (its epoch fences whatever
the old one left behind), read the checkpoint, drop what is at or below it, go on. This module says what else is due.
"""

from __future__ import annotations

from enum import StrEnum


class Cure(StrEnum):
    """What to do beside renewing the producer."""

    RENEW = "renew"  # nothing else: the outcome is unknown, or the cause is passing
    SPLIT = "split"  # a record is at fault: never send the same again, halve
    CHECKPOINT = "checkpoint"  # the checkpoint itself is refused: no event is at fault, wait, tell
    TOPIC = "topic"  # a topic is gone or forbidden: suspend its streams
    FENCED = "fenced"  # perhaps by the lane's next owner: hear the group before the next init
    NOT_OURS = "not_ours"  # the group says that we are not a member: stop writing
    FORBIDDEN = "forbidden"  # a permission on the transactional id or the group is missing: wait, tell


_CURES: dict[str, tuple[Cure, str]] = {
    "MSG_SIZE_TOO_LARGE": (Cure.SPLIT, "a record or its batch is larger than the topic allows"),
    "RECORD_LIST_TOO_LARGE": (Cure.SPLIT, "a batch is larger than the topic's segment"),
    "INVALID_MSG_SIZE": (Cure.SPLIT, "a record's size is not valid"),
    "INVALID_TIMESTAMP": (Cure.SPLIT, "a record is dated further from now than the topic allows"),
    "INVALID_RECORD": (Cure.SPLIT, "the broker refused a record"),
    "INVALID_MSG": (Cure.SPLIT, "the broker found a record corrupt"),
    "POLICY_VIOLATION": (Cure.SPLIT, "a record breaks a policy of the topic"),
    "_BAD_MSG": (Cure.SPLIT, "the client refused a record"),
    "UNKNOWN_TOPIC_OR_PART": (Cure.TOPIC, "the topic does not exist"),
    "_UNKNOWN_TOPIC": (Cure.TOPIC, "the topic does not exist"),
    "_UNKNOWN_PARTITION": (Cure.TOPIC, "the partition does not exist"),
    "TOPIC_EXCEPTION": (Cure.TOPIC, "the topic's name is not valid"),
    "TOPIC_AUTHORIZATION_FAILED": (Cure.TOPIC, "no permission to write to the topic"),
    "UNKNOWN_MEMBER_ID": (Cure.NOT_OURS, "the group no longer knows this worker"),
    "FENCED_INSTANCE_ID": (Cure.NOT_OURS, "another worker runs under this group.instance.id"),
    "ILLEGAL_GENERATION": (Cure.RENEW, "the group is rebalancing"),
    "REBALANCE_IN_PROGRESS": (Cure.RENEW, "the group is rebalancing"),
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": (Cure.FORBIDDEN, "no permission on the transactional id"),
    "GROUP_AUTHORIZATION_FAILED": (Cure.FORBIDDEN, "no permission on the consumer group"),
    "CLUSTER_AUTHORIZATION_FAILED": (Cure.FORBIDDEN, "no permission on the cluster"),
    "_FENCED": (Cure.FENCED, "the transaction timed out, or another producer took the transactional id"),
    "INVALID_PRODUCER_EPOCH": (Cure.FENCED, "the transaction timed out at the broker"),
    "OUT_OF_ORDER_SEQUENCE_NUMBER": (Cure.RENEW, "the broker lost track of the producer"),
    "_MSG_TIMED_OUT": (Cure.RENEW, "records were not acknowledged in time"),
    "_TIMED_OUT": (Cure.RENEW, "the broker did not answer in time"),
    "_ALL_BROKERS_DOWN": (Cure.RENEW, "no broker can be reached"),
}


def cure(error_name: str, *, of_checkpoint: bool = False) -> tuple[Cure, str]:
    """What to do about a Kafka error, by its protocol or librdkafka name, and its cause in a sentence.

    ``of_checkpoint``: it is about a checkpoint's record, not an event's.
    """
    found, cause = _CURES.get(error_name, (Cure.RENEW, "an error that the bridge has no rule for"))
    return (Cure.CHECKPOINT if of_checkpoint and found is Cure.SPLIT else found), cause


class Bisection:
    """Looks for the record at fault: after a failure a transaction holds half as many records, down to one.

    While it searches, records behind the failed batch are sent as before once that batch is through.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._suspects = 0

    def failed(self, records: int) -> bool:
        """A transaction of so many records failed for a record's sake; True where it was the only one."""
        if records <= 1:
            self.limit = None
            self._suspects = 0
            return True
        self._suspects = max(self._suspects, records)
        self.limit = records // 2
        return False

    def again(self, records: int) -> None:
        """As many records are sent once more, without those at fault; no others join them, which might be as bad."""
        self._suspects = max(self._suspects, records)
        self.limit = records

    def committed(self, records: int) -> None:
        """A transaction of so many records committed."""
        self._suspects = max(0, self._suspects - records)
        if not self._suspects:
            self.limit = None
