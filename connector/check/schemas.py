"""The prerequisite of topics with a schema: the registry has it, or would take it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from connector.core.finding import Finding, fails, ok
from connector.errors import SchemaUnavailableError
from connector.registry.plan import FormPlan, RegistryPlan

_MEND = "check schema_registry: url, credentials and TLS, and whether the subject has the schema"


async def check_schemas(forms: Iterable[FormPlan], registry: RegistryPlan) -> list[Finding]:
    """A finding for each topic that has a schema."""
    return [await asyncio.to_thread(_look, form, registry) for form in forms]


def _look(form: FormPlan, registry: RegistryPlan) -> Finding:
    from connector.registry.client import look  # noqa: PLC0415 - heavy, and only topics with a schema need it

    title = f"schema of {form.topic}"
    try:
        return ok(title, look(form, registry))
    except SchemaUnavailableError as error:
        return fails(title, str(error), _MEND)
