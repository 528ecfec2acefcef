"""How topics with a schema are written: found once, then known for the worker's life.

The registry is asked before a stream dials, never while events flow: once a topic's schema is known the registry may
be away for as long as it likes (docs/adr/0010).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import orjson
from confluent_kafka.serialization import MessageField, SerializationContext

from connector.errors import DialError, SchemaUnavailableError
from connector.model import DialFailure, FailureKind, Lapse, Serialise, Token, Unfit
from connector.ports import Connection, Snapshot, Source
from connector.registry.plan import FormPlan, RegistryPlan

if TYPE_CHECKING:
    from connector.registry.client import Found

_AGAIN_S = 1.0
"""Streams that dial together hear of one failure."""
_WHY_MAX = 500

_log = logging.getLogger("connector.registry")


class Form:
    """One topic's. Belongs to the event loop's thread."""

    def __init__(self, plan: FormPlan, registry: RegistryPlan) -> None:
        self._plan = plan
        self._registry = registry
        self._context = SerializationContext(plan.topic, MessageField.VALUE)
        self._found: Found | None = None
        self._asking = asyncio.Lock()
        self._failure: SchemaUnavailableError | None = None
        self._failed_at = float("-inf")
        self._raw = b""

    async def prepare(self) -> None:
        """Return once the schema is known; raises :class:`SchemaUnavailableError`."""
        if self._found is not None:
            return
        async with self._asking:
            if self._found is not None:
                return
            if self._failure is not None and time.monotonic() - self._failed_at < _AGAIN_S:
                raise self._failure
            try:
                self._found = await asyncio.to_thread(self._resolve)
            except SchemaUnavailableError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
        found, topic = self._found, self._plan.topic
        _log.info("topic %s is written by schema %d of subject %s", topic, found.schema_id, found.subject)

    def serialise(self, raw: bytes) -> bytes | Unfit | None:
        """See :data:`connector.model.Serialise`. :meth:`prepare` has returned before."""
        if self._found is None:
            raise SchemaUnavailableError(f"schema of topic {self._plan.topic} is asked for before it is known")
        self._raw = raw
        try:
            return self._found.serializer(orjson.loads(raw), self._context)
        except Exception as error:  # noqa: BLE001 - serializers raise whatever a value makes them stumble over
            return Unfit(f"{type(error).__name__}: {error}"[:_WHY_MAX])

    def _resolve(self) -> Found:
        from connector.registry.client import resolve  # noqa: PLC0415 - heavy, and only topics with a schema need it

        return resolve(self._plan, self._registry, self._text)

    def _text(self, _value: object) -> bytes:
        """A JSON value keeps its bytes behind the frame."""
        return self._raw


class Forms:
    """A worker's, by topic; a form that the configuration changes is made anew."""

    def __init__(self) -> None:
        self._forms: dict[tuple[FormPlan, RegistryPlan], Form] = {}

    def of(self, plans: Collection[FormPlan], registry: RegistryPlan) -> dict[str, Form]:
        """The forms of these topics."""
        return {plan.topic: self._forms.setdefault((plan, registry), Form(plan, registry)) for plan in plans}


def serialisers(forms: Mapping[str, Form]) -> dict[str, Serialise]:
    """What writes each topic."""
    return {topic: form.serialise for topic, form in forms.items()}


class SchemaGate:
    """A source that is not asked before the schemas of the stream's topics are known: an event could not be written."""

    def __init__(self, source: Source, forms: Collection[Form]) -> None:
        self._source = source
        self._forms = forms

    async def dial(self, token: Token, position: int | None, timeout_s: float) -> Connection:
        """See :meth:`connector.ports.Source.dial`."""
        await self._pass()
        return await self._source.dial(token, position, timeout_s)

    async def snapshot(self, token: Token, lapse: Lapse) -> Snapshot | None:
        """See :meth:`connector.ports.Source.snapshot`."""
        await self._pass()
        return await self._source.snapshot(token, lapse)

    async def _pass(self) -> None:
        try:
            for form in self._forms:
                await form.prepare()
        except SchemaUnavailableError as error:
            raise DialError(DialFailure(FailureKind.NETWORK, str(error))) from error
