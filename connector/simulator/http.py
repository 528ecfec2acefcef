"""The platform's HTTP side on aiohttp: routes in, answers out. What to answer is decided in ``admission``."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web

from connector.simulator import report
from connector.simulator.admission import admit, authorize, token_answer, troubled_answer
from connector.simulator.answers import Answer
from connector.simulator.controls import CONTROLS, Controls
from connector.simulator.desk import ControlDesk, json_response, respond
from connector.simulator.faults import TokenTrouble
from connector.simulator.ledger import lost
from connector.simulator.session import Ending, Session
from connector.simulator.side import MAX_REQUEST_BYTES, PlatformSide
from connector.simulator.snapshots import troubled_snapshot
from connector.simulator.sockets import ServerSocket
from connector.simulator.tokens import GRANTS
from connector.simulator.world import World


class HttpSide(PlatformSide):
    """The routes of one platform."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._world: World = controls.world
        super().__init__(self._world.board, self._world.now, self._world.platform_now)
        self._desk = ControlDesk(controls, CONTROLS)

    def application(self) -> web.Application:
        """A fresh application with all routes, for a life that begins."""
        self._stopping.clear()
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.post("/token", self._token),
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/stream/{channel}", self._stream),
                web.get("/summary", self._summary),
                web.get("/summary/{channel}", self._summary),
                web.get("/_ctl/stats", self._stats),
                web.get("/_ctl/ledger", self._ledger),
                web.post("/_ctl/{name}", self._desk.call),
            ]
        )
        app.on_response_prepare.append(self._stamp)
        return app

    def stop(self) -> None:
        """Let every handler come to its end: sockets close with 1001, delayed answers are given at once."""
        self._stopping.set()
        for each in self._world.sockets_of(None):
            each.session.frozen_until_s = 0.0
            each.session.order = Ending(1001, "the platform is going away")
            each.nudge()

    def _granted(self, request: web.Request, form: Mapping[str, str]) -> Answer:
        origin = str(request.url.origin())
        audiences = (origin, f"{origin}/token")
        answer = token_answer(self._world, request.headers.get("Authorization"), form, audiences)
        self._world.nudge()  # where a new token revokes the old ones, their sockets must close
        return answer

    def _troubled(self, trouble: TokenTrouble) -> Answer | None:
        return troubled_answer(self._world, trouble)

    async def _discovery(self, request: web.Request) -> web.Response:
        origin = str(request.url.origin())
        return json_response({"issuer": origin, "token_endpoint": f"{origin}/token", "grant_types_supported": GRANTS})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        channel = request.match_info["channel"]
        stalled_until_s = self._world.board.stalled_until(channel, self._world.now())
        if stalled_until_s is not None:
            await self._pause(stalled_until_s - self._world.now())
        ws = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        if not ws.can_prepare(request):
            return respond(Answer(426, {"code": "upgrade.required"}, {"Upgrade": "websocket"}))
        asked = request.query.get(self._world.settings.position_name)
        admitted = admit(self._world, channel, request.headers.get("Authorization"), asked)
        if isinstance(admitted, Answer):
            return respond(admitted)
        await self._serve(request, ws, admitted)
        return ws

    async def _serve(self, request: web.Request, ws: web.WebSocketResponse, session: Session) -> None:
        world = self._world
        transport = request.transport
        close_code = world.board.close_code_on_open(session.log.name, world.now())
        if close_code is not None:
            session.order = Ending(close_code, "closed on open by order")
        opened: ServerSocket[Session] | None = None
        try:
            writer = await ws.prepare(request)
            if transport is not None:
                opened = ServerSocket(session, ws, writer, transport, world.now)
                world.sockets.add(opened)
                if self._stopping.is_set():
                    session.order = Ending(1001, "the platform is going away")
                await opened.serve()
        except ConnectionError:
            pass  # the client left during the handshake: the record below says so
        finally:
            session.write_down()
            if opened is not None:
                world.sockets.discard(opened)
            close = lost(world.now()) if opened is None else opened.outcome()
            world.ledger.closed(session.record, close, expiry=opened is not None and opened.expiry)

    async def _summary(self, request: web.Request) -> web.StreamResponse:
        token = authorize(self._world, request.headers.get("Authorization"))
        if isinstance(token, Answer):
            return respond(token)
        self._world.ledger.counts["snapshots"] += 1
        channel = request.match_info.get("channel") or request.query.get("channel")
        body = report.snapshot(self._world, channel or next(iter(self._world.streams), "default"))
        trouble = self._world.board.snapshot_trouble(self._world.now())
        if trouble is None:
            return json_response(body)
        return await troubled_snapshot(request, trouble, orjson.dumps(body, default=list), self._pause)

    async def _stats(self, _request: web.Request) -> web.Response:
        return json_response(self._controls.stats())

    async def _ledger(self, request: web.Request) -> web.Response:
        stream = request.query.get("stream")
        if not stream:
            return respond(Answer(400, {"error": "stream is missing"}))
        return json_response(self._controls.ledger(stream))
