"""The kinds of platforms: ``kind`` decides which model a platform's section is checked by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from connector.settings.fields import as_validation_error, explain
from connector.settings.notifications import KIND, NotificationsSettings
from connector.settings.platform import KIND_DEFAULTS, PlatformSettings, SequenceSettings
from connector.settings.secret_files import Fault

AnyPlatform = SequenceSettings | NotificationsSettings
KINDS: Mapping[str, type[PlatformSettings]] = {
    **dict.fromkeys(KIND_DEFAULTS, SequenceSettings),
    KIND: NotificationsSettings,
}


def _by_kind(document: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    """Let the one model check the document that its kind names, so that paths and faults are that model's alone."""
    if isinstance(document, PlatformSettings):
        return document
    if not isinstance(document, Mapping):
        raise ValueError("should be a mapping")  # noqa: TRY004  # pydantic wants a ValueError
    kind = document.get("kind")
    model = KINDS.get(str(kind), SequenceSettings)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        if kind is None or str(kind) in KINDS:
            raise
        others = [fault for fault in explain(error, model) if fault.location != ("kind",)]
        faults = [Fault(("kind",), f"should be one of {', '.join(KINDS)}"), *others]
        raise as_validation_error("platform", faults) from None


AnyPlatformSettings = Annotated[AnyPlatform, BeforeValidator(_by_kind)]
