"""What the sections of the configuration are made of: value types, checks, faults.

A *fault* is a path below a section and a sentence. Faults never hold a value from the configuration, which might be
a secret. :func:`checked` makes pydantic report faults of a section as a whole (two keys that exclude each other, a
secret's file that is not there) together with those of its fields, so that a user sees all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from connector.settings.secret_files import FILE_SUFFIX, Fault, Location, read_secret_files

Document = Mapping[str, Any]


class Section(BaseModel):
    """A part of the configuration: immutable, and unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def checked(
    check: Callable[[Document], Iterable[Fault]] | None = None,
    *,
    secrets: tuple[str, ...] = (),
    prepare: Callable[[Document], dict[str, Any]] = dict,
) -> Any:  # noqa: ANN401  # what pydantic's decorator returns is private to it
    """Build a section's validator: ``prepare`` the document, read secrets' files, then check fields and the whole.

    ``check`` sees the document as the user wrote it, before any type is known to be right, and must bear anything.
    """

    def validate(cls: type[BaseModel], document: Any, handler: ModelWrapValidatorHandler[BaseModel]) -> BaseModel:  # noqa: ANN401  # any document
        if not isinstance(document, Mapping):
            return handler(document)
        complete = prepare(document)
        faults = read_secret_files(complete, secrets)
        if check is not None:
            faults += check(complete)
        try:
            section = handler(complete)
        except ValidationError as error:
            known = {fault.location for fault in faults}
            faults += [fault for fault in explain(error, cls) if not _told(fault, known)]
        if faults:
            raise as_validation_error(cls.__name__, faults)
        return section

    validator: Any = classmethod(validate)
    return model_validator(mode="wrap")(validator)


def explain(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Pydantic's findings as faults, in words for people who write YAML."""
    return [Fault(line["loc"], _sentence(line, model)) for line in error.errors(include_url=False, include_input=False)]


def _sentence(line: ErrorDetails, model: type[BaseModel]) -> str:
    message = line["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    match line["type"]:
        case "configuration":  # a fault of an inner section, told already
            return message
        case "missing":
            name = str(line["loc"][-1])
            return f"required (or {name}{FILE_SUFFIX})" if f"{name}{FILE_SUFFIX}" in model.model_fields else "required"
        case "extra_forbidden":
            return unknown_key(str(line["loc"][-1]), model if len(line["loc"]) == 1 else None)
        case "too_short" | "string_too_short":
            return "should not be empty"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "should be a mapping"
        case _:
            return message[:1].lower() + message[1:]


def unknown_key(name: str, model: type[BaseModel] | None) -> str:
    """Tell of a key that a section does not have, with the one that may have been meant."""
    close = difflib.get_close_matches(name, model.model_fields if model else (), n=1)
    return f"unknown key; did you mean {close[0]}?" if close else "unknown key"


def _told(fault: Fault, known: set[Location]) -> bool:
    """Whether a fault only follows from one that is already told: the file of a missing secret, the same place."""
    *parents, name = fault.location or ("",)
    return fault.location in known or (*parents, f"{name}{FILE_SUFFIX}") in known


def as_validation_error(title: str, faults: Iterable[Fault]) -> ValidationError:
    """Put faults into the shape in which pydantic carries them up, each with its path."""
    lines = [
        InitErrorDetails(type=PydanticCustomError("configuration", fault.message), loc=fault.location, input=None)
        for fault in faults
    ]
    return ValidationError.from_exception_data(title, lines, hide_input=True)


def _not_a_boolean(value: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    """YAML reads ``yes`` as true, and true would pass for 1."""
    if isinstance(value, bool):
        raise ValueError("should be a number, not a boolean")  # noqa: TRY004  # pydantic wants a ValueError
    return value


FOREVER_S = 31_536_000  # a year: no duration of a configuration makes sense beyond it
Integer = Annotated[int, BeforeValidator(_not_a_boolean)]
Number = Annotated[float, BeforeValidator(_not_a_boolean)]
Seconds = Annotated[Number, Field(ge=0, le=FOREVER_S, allow_inf_nan=False)]
PositiveSeconds = Annotated[Number, Field(gt=0, le=FOREVER_S, allow_inf_nan=False)]
