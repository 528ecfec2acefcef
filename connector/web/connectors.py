"""``/connectors``: Kafka Connect's REST over streams, a faithful subset (status codes and bodies were compared).

A stream is declared in the configuration file: what would create, change or delete one is answered with 405.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from connector.core.fleet import Phase, StreamView
from connector.management import Catalogue, Fleet
from connector.model import Target
from connector.web import connect
from connector.web.server import RequestError, error

_TRUE = "true"
_Move = tuple[int | None, int | None]
"""Position and epoch, as :meth:`connector.management.Fleet.move` takes them."""
_STEERED = {"pause": (Target.PAUSED, 202), "resume": (Target.RUNNING, 202), "stop": (Target.STOPPED, 204)}
_MUST_BE_STOPPED = (
    "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified "
    "connector by issuing a 'PUT' request to the '/connectors/{}/stop' endpoint"
)
_NO_OFFSETS = "Partitions / offsets need to be provided for an alter offsets request"
_BAD_OFFSET = 'an offset is {"position": an integer of at least 0, "epoch": the same}; null forgets the checkpoint'
_DECLARED = "streams are declared in the configuration file: edit it there, and have the worker read it again"
_LARGEST = 2**63 - 1


class Connectors:
    """The handlers of ``/connectors``."""

    def __init__(self, fleet: Fleet, catalogue: Catalogue) -> None:
        self._fleet = fleet
        self._catalogue = catalogue

    def routes(self) -> list[web.RouteDef]:
        """Every path below ``/connectors``."""
        one = "/connectors/{name}"
        return [
            web.get("/connectors", self._list),
            web.get("/connectors/", self._list),
            web.get(one, self._info),
            web.get(f"{one}/config", self._config),
            web.get(f"{one}/status", self._status),
            web.get(f"{one}/tasks", self._tasks),
            web.get(one + "/tasks/{task:[0-9]+}/status", self._task_status),
            web.get(f"{one}/topics", self._topics),
            web.put(one + "/{verb:pause|resume|stop}", self._steer),
            web.post(f"{one}/restart", self._restart),
            web.post(one + "/tasks/{task:[0-9]+}/restart", self._restart_task),
            web.get(f"{one}/offsets", self._offsets),
            web.patch(f"{one}/offsets", self._alter_offsets),
            web.delete(f"{one}/offsets", self._reset_offsets),
            web.post("/connectors", _declared),
            web.delete(one, _declared),
            web.put(f"{one}/config", _declared),
            web.patch(f"{one}/config", _declared),
        ]

    # ------------------------------------------------------------------ reads

    async def _list(self, request: web.Request) -> web.Response:
        await self._fleet.refresh()
        views, expand = self._fleet.views(), request.query.getall("expand", [])
        if not expand:
            return web.json_response([view.name for view in views])
        return web.json_response({view.name: self._expanded(view, expand) for view in views})

    def _expanded(self, view: StreamView, expand: list[str]) -> connect.Json:
        found: connect.Json = {}
        if "status" in expand:
            found["status"] = connect.status(view, self._catalogue.version)
        if "info" in expand:
            found["info"] = connect.info(view, self._catalogue.config(view.name))
        return found

    async def _info(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        return web.json_response(connect.info(view, self._catalogue.config(view.name)))

    async def _config(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        return web.json_response(self._catalogue.config(view.name))

    async def _status(self, request: web.Request) -> web.Response:
        view = await self._view(request, "No status found for connector {}")
        return web.json_response(connect.status(view, self._catalogue.version))

    async def _tasks(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        return web.json_response(connect.tasks(view, self._catalogue.config(view.name)))

    async def _task_status(self, request: web.Request) -> web.Response:
        none = f"No status found for task {{}}-{request.match_info['task']}"
        view = await self._view(request, none)
        if not _has_task(view, request):
            return error(404, none.format(view.name))
        return web.json_response(connect.task_status(view, self._catalogue.version))

    async def _topics(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        return web.json_response({view.name: {"topics": self._catalogue.topics(view.name)}})

    async def _offsets(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        place = await self._fleet.place(view.name)
        if place is None:
            return web.json_response({"offsets": []})
        return web.json_response(connect.offsets(view.name, place.epoch, place.position))

    # ------------------------------------------------------------------ verbs

    async def _steer(self, request: web.Request) -> web.Response:
        view = await self._view(request, "Unknown connector {}")
        target, status = _STEERED[request.match_info["verb"]]
        await self._fleet.steer(view.name, target)
        return web.Response(status=status)

    async def _restart(self, request: web.Request) -> web.Response:
        view = await self._view(request, "Unknown connector: {}")
        only_failed = request.query.get("onlyFailed", "").lower() == _TRUE
        with_tasks = request.query.get("includeTasks", "").lower() == _TRUE
        restarts = not only_failed or view.phase is Phase.FAILED
        if restarts:
            await self._fleet.restart(view.name)
        if not with_tasks and not only_failed:
            return web.Response(status=204)
        status = connect.status(view, self._catalogue.version, restarting=restarts)
        return web.json_response(status, status=202)

    async def _restart_task(self, request: web.Request) -> web.Response:
        view = await self._view(request, "Unknown connector: {}")
        if not _has_task(view, request):
            return error(404, f"Unknown task: {view.name}-{request.match_info['task']}")
        await self._fleet.restart(view.name)
        return web.Response(status=204)

    async def _alter_offsets(self, request: web.Request) -> web.Response:
        name, offsets = request.match_info["name"], (await read_object(request)).get("offsets")
        if not isinstance(offsets, list) or not offsets:
            raise RequestError(400, _NO_OFFSETS)
        view = await self._view(request)
        moves = [_move_of(name, entry) for entry in offsets]
        return await self._move(view, moves[-1], "altered")  # the last of several for the same partition wins

    async def _reset_offsets(self, request: web.Request) -> web.Response:
        return await self._move(await self._view(request), (None, None), "reset")

    async def _move(self, view: StreamView, move: _Move, done: str) -> web.Response:
        if view.phase is not Phase.STOPPED:
            return error(400, _MUST_BE_STOPPED.format(view.name))
        if await self._fleet.move(view.name, *move):
            return web.json_response({"message": f"The offsets for this connector have been {done} successfully"})
        message = f"The offsets for this connector will be {done} once a worker has its lane"
        return web.json_response({"message": message}, status=202)

    async def _view(self, request: web.Request, unknown: str = "Connector {} not found") -> StreamView:
        """The stream of the path, as the group has it now; its absence ends the request."""
        await self._fleet.refresh()
        name = request.match_info["name"]
        view = self._fleet.view(name)
        if view is None:
            raise RequestError(404, unknown.format(name))
        return view


async def _declared(_request: web.Request) -> web.Response:
    return error(405, _DECLARED, {"Allow": "GET,HEAD"})


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object; an empty body is an empty one.

    Raises :class:`RequestError` for anything else.
    """
    body = await request.read()
    if not body:
        return {}
    if request.content_type != "application/json":
        raise RequestError(415, "HTTP 415 Unsupported Media Type")
    try:
        parsed = json.loads(body)
    except ValueError as raised:
        raise RequestError(400, "the body is not JSON") from raised
    if not isinstance(parsed, dict):
        raise RequestError(400, "the body should be a JSON object")
    return parsed


def _has_task(view: StreamView, request: web.Request) -> bool:
    return int(request.match_info["task"]) == connect.TASK and view.phase is not Phase.STOPPED


def _move_of(stream: str, entry: Any) -> _Move:  # noqa: ANN401 - whatever the body holds
    """What an entry of ``offsets`` asks for; raises :class:`RequestError` for what is none."""
    if not isinstance(entry, dict) or entry.get("partition") != {"stream": stream}:
        raise RequestError(400, f'the partition of every entry should be {{"stream": "{stream}"}}')
    offset = entry.get("offset")
    if offset is None:
        return None, None
    if not isinstance(offset, dict) or not offset.keys() <= {"position", "epoch"}:
        raise RequestError(400, _BAD_OFFSET)
    position, epoch = (None if offset.get(key) is None else _count(offset[key]) for key in ("position", "epoch"))
    return position, epoch


def _count(value: Any) -> int:  # noqa: ANN401 - whatever the body holds
    digits = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not digits.isascii() or not digits.isdigit() or int(digits) > _LARGEST:
        raise RequestError(400, _BAD_OFFSET)
    return int(digits)
