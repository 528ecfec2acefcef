"""Genesys Cloud's HTTP side on aiohttp: requests in, answers out. What to answer, ``api`` and ``world`` decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from connector.simulator.answers import Answer, token_reply, troubled_reply
from connector.simulator.desk import ControlDesk, json_response, respond
from connector.simulator.faults import TokenTrouble
from connector.simulator.genesys.api import Request, answer
from connector.simulator.genesys.controls import CONTROLS, Controls
from connector.simulator.genesys.outlet import Outlet
from connector.simulator.genesys.world import World
from connector.simulator.ledger import lost
from connector.simulator.session import Ending
from connector.simulator.side import MAX_REQUEST_BYTES, PlatformSide
from connector.simulator.sockets import Alarm, ServerSocket


class HttpSide(PlatformSide):
    """The routes of one organisation, and the task that lets things happen while it listens."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._world: World = controls.world
        super().__init__(self._world.token_board, self._world.now, self._world.platform_now)
        self._pulse = Alarm()
        self._desk = ControlDesk(controls, CONTROLS)

    def application(self) -> web.Application:
        """A fresh application with all routes, for a life that begins."""
        self._stopping.clear()
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.post("/oauth/token", self._token),
                web.route("*", "/api/v2/{path:.*}", self._api),
                web.get("/channels/{channel}", self._channel),
                web.get("/_ctl/stats", self._stats),
                web.get("/_ctl/ledger", self._ledger),
                web.post("/_ctl/{name}", self._control),
            ]
        )
        app.cleanup_ctx.append(self._life)
        app.on_response_prepare.append(self._stamp)
        return app

    def stop(self) -> None:
        """Let every handler come to its end: sockets close with 1001, delayed answers are given at once."""
        self._stopping.set()
        self._pulse.ring()
        for each in self._world.sockets_of(None):
            each.session.frozen_until_s = each.session.order_at_s = 0.0
            each.session.order = Ending(1001, "the platform is going away")
            each.nudge()

    async def _life(self, _app: web.Application) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._let_happen())
            yield
            self._stopping.set()
            self._pulse.ring()

    async def _let_happen(self) -> None:
        while not self._stopping.is_set():
            self._world.advance()
            await self._pulse.rest(self._world.next_happening_s() - self._world.now())

    def _granted(self, request: web.Request, form: Mapping[str, str]) -> Answer:
        world = self._world
        return token_reply(world.clients.request(request.headers.get("Authorization"), form, world.platform_now()))

    def _troubled(self, trouble: TokenTrouble) -> Answer | None:
        return troubled_reply(trouble, self._world.platform_now())

    async def _api(self, request: web.Request) -> web.Response:
        world = self._world
        trouble = world.faults.trouble(request.path, world.now())
        if trouble is not None and trouble.delay_s:
            await self._pause(trouble.delay_s)
        asked = Request(
            method=request.method,
            path=request.path,
            query={name: request.query.getall(name) for name in request.query},
            body=await request.read(),
            authorization=request.headers.get("Authorization"),
            origin=str(request.url.origin()).replace("http", "ws", 1),
        )
        return respond(answer(world, asked))

    async def _channel(self, request: web.Request) -> web.StreamResponse:
        world = self._world
        world.advance()
        if world.now() < world.faults.handshakes_refused_until_s:
            return respond(Answer(world.faults.handshake_status))
        channel = world.channels.all.get(request.match_info["channel"])
        if channel is None or channel.ended(world.platform_now()) is not None:
            return respond(Answer(404))
        ws = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        if not ws.can_prepare(request):
            return respond(Answer(426, None, {"Upgrade": "websocket"}))
        await self._serve(request, ws, world.accept(channel))
        return ws

    async def _serve(self, request: web.Request, ws: web.WebSocketResponse, outlet: Outlet) -> None:
        world = self._world
        transport = request.transport
        opened: ServerSocket[Outlet] | None = None
        try:
            writer = await ws.prepare(request)
            if transport is not None:
                opened = ServerSocket(outlet, ws, writer, transport, world.now)
                world.advance()  # what is due by now happened before this socket was there
                world.sockets[outlet.channel.channel_id] = opened
                if self._stopping.is_set():
                    outlet.order = Ending(1001, "the platform is going away")
                await opened.serve()
        except ConnectionError:
            pass  # the client left during the handshake: the record says so
        finally:
            world.leave(outlet, opened, lost(world.now()) if opened is None else opened.outcome())

    async def _stats(self, _request: web.Request) -> web.Response:
        return json_response(self._controls.stats())

    async def _ledger(self, _request: web.Request) -> web.Response:
        return json_response(self._controls.ledger())

    async def _control(self, request: web.Request) -> web.Response:
        answered = await self._desk.call(request)
        self._pulse.ring()  # things may happen earlier than was planned
        return answered
