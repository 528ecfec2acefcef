"""``POST /_ctl/<name>``: faults by name, over HTTP. Which there are, the platform's controls say."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError, validate_call

from connector.simulator.answers import Answer


class ControlDesk:
    """Calls a platform's controls with arguments from the query and a JSON body, checked against their types."""

    def __init__(self, controls: object, names: Sequence[str]) -> None:
        self._names = list(names)
        self._calls: dict[str, Callable[..., Any]] = {name: validate_call(getattr(controls, name)) for name in names}

    async def call(self, request: web.Request) -> web.Response:
        """Handle ``/_ctl/{name}``: ``{"result": …}``, 404 with the names there are, or 400."""
        call = self._calls.get(request.match_info["name"])
        if call is None:
            return json_response({"error": "unknown control", "known": self._names}, 404)
        try:
            return json_response({"result": call(**await _arguments(request))})
        except ValidationError as invalid:
            return json_response({"error": invalid.errors(include_url=False, include_context=False)}, 400)
        except (orjson.JSONDecodeError, binascii.Error, TypeError) as malformed:
            return json_response({"error": f"malformed arguments: {malformed}"}, 400)


def json_response(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - whatever JSON can hold
    """An answer in JSON; what orjson does not know is something that can be iterated, or an error's text."""
    body = orjson.dumps(value, default=list if status == 200 else str)  # noqa: PLR2004 - HTTP
    return web.Response(body=body, status=status, content_type="application/json")


def respond(answer: Answer) -> web.Response:
    """The answer as aiohttp sends it."""
    if isinstance(answer.body, str):
        return web.Response(text=answer.body, status=answer.status, headers=answer.headers, content_type="text/html")
    if answer.body is None:
        return web.Response(status=answer.status, headers=answer.headers)
    body = orjson.dumps(answer.body, default=str)
    return web.Response(body=body, status=answer.status, headers=answer.headers, content_type="application/json")


async def _arguments(request: web.Request) -> dict[str, Any]:
    """Query and JSON body together; ``data_base64`` stands for ``data`` that is not text."""
    arguments: dict[str, Any] = dict(request.query)
    if request.can_read_body:
        arguments.update(orjson.loads(await request.read()))
    encoded = arguments.pop("data_base64", None)
    if encoded is not None:
        arguments["data"] = base64.b64decode(encoded, validate=True)
    return arguments
