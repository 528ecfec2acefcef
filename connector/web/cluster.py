"""``/``, ``/connector-plugins`` and ``/admin/loggers`` as Kafka Connect has them, and the OpenAPI document."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping

from aiohttp import web

from connector.management import Catalogue, Fleet
from connector.web import connect
from connector.web.connectors import read_object
from connector.web.loggers import LEVELS, Loggers
from connector.web.server import RequestError

_UI = "/ui"
_WORKER, _CLUSTER = "worker", "cluster"


class Cluster:
    """The handlers that are about the worker, not a stream."""

    def __init__(self, fleet: Fleet, catalogue: Catalogue, loggers: Loggers) -> None:
        self._fleet = fleet
        self._catalogue = catalogue
        self._loggers = loggers
        self._openapi = importlib.resources.files(__package__).joinpath("openapi.json").read_bytes()

    def routes(self) -> list[web.RouteDef]:
        """Every path."""
        plugin = "/connector-plugins/{plugin}/config"
        return [
            web.get("/", self._root),
            web.get("/openapi.json", self._document),
            web.get("/connector-plugins", self._plugins),
            web.get("/connector-plugins/", self._plugins),
            web.get(plugin, self._plugin_config),
            web.put(f"{plugin}/validate", self._validate),
            web.get("/admin/loggers", self._all_loggers),
            web.get("/admin/loggers/{logger}", self._logger),
            web.put("/admin/loggers/{logger}", self._set_logger),
        ]

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):
            raise web.HTTPFound(_UI)
        cluster_id = await self._fleet.cluster_id()
        body = {"version": self._catalogue.version, "commit": self._catalogue.commit, "kafka_cluster_id": cluster_id}
        return web.json_response(body)

    async def _document(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type="application/json")

    async def _plugins(self, _request: web.Request) -> web.Response:
        names, version = self._catalogue.plugins(), self._catalogue.version
        return web.json_response([connect.plugin(name, version) for name in names])

    async def _plugin_config(self, request: web.Request) -> web.Response:
        name = request.match_info["plugin"]
        if name not in self._catalogue.plugins():
            raise RequestError(404, f"Unknown plugin {name}.")
        keys = [connect.config_key(each, order) for order, each in enumerate(self._catalogue.definitions(), 1)]
        return web.json_response(keys)

    async def _validate(self, request: web.Request) -> web.Response:
        plugin, config = request.match_info["plugin"], _texts(await read_object(request))
        kind = config.get("connector.class")
        if kind is None:
            raise RequestError(400, "the configuration contains no connector.class")
        if kind != plugin:
            raise RequestError(400, f"Included connector type {kind} does not match request type {plugin}")
        if plugin not in self._catalogue.plugins():
            raise RequestError(404, f"Unknown plugin {plugin}.")
        faults = self._catalogue.faults(plugin, config)
        return web.json_response(connect.validation(plugin, self._catalogue.definitions(), config, faults))

    async def _all_loggers(self, _request: web.Request) -> web.Response:
        return web.json_response(self._loggers.all())

    async def _logger(self, request: web.Request) -> web.Response:
        name = request.match_info["logger"]
        found = self._loggers.all().get(name)
        if found is None:
            raise RequestError(404, f"Logger {name} not found.")
        return web.json_response(found)

    async def _set_logger(self, request: web.Request) -> web.Response:
        name, scope = request.match_info["logger"], request.query.get("scope", _WORKER).lower()
        if scope not in (_WORKER, _CLUSTER):
            raise RequestError(400, "scope is worker, the one that is asked, or cluster")
        level = (await read_object(request)).get("level")
        if level is None:
            raise RequestError(400, "Desired 'level' parameter was not specified in request.")
        if not isinstance(level, str) or level.upper() not in LEVELS:
            raise RequestError(404, f"invalid log level '{level}'.")
        if scope == _CLUSTER:
            self._loggers.set_everywhere(name, level.upper())
            return web.Response(status=204)
        return web.json_response(self._loggers.set(name, level.upper()))


def _texts(body: Mapping[str, object]) -> dict[str, str]:
    """Connect's configurations map text to text; a number is taken for its text."""
    return {key: value if isinstance(value, str) else str(value) for key, value in body.items() if value is not None}
