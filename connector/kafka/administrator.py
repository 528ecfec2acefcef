"""The administrator's client: it says why nobody answered."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connector.kafka.client import KafkaClient, describe


class Administrator(AdminClient):
    """Remembers what its connections failed of. A request that fails only says that no broker answered it."""

    def __init__(self, client: KafkaClient) -> None:
        self._heard: KafkaError | None = None
        properties = client.common() | {"error_cb": self._hear}
        super().__init__(properties)

    def why(self, error: KafkaException) -> str:
        """What a connection failed of since the last call: TLS, a refused password, nobody there; else the error."""
        self.poll(0)
        heard, self._heard = self._heard, None
        return describe(error if heard is None else KafkaException(heard))

    def _hear(self, error: KafkaError) -> None:
        if error.name() != "_ALL_BROKERS_DOWN":
            self._heard = error
