"""The OAuth client over real sockets, against a small server that answers as the test says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from connector.auth.grants import Address, ClientAuth, ClientCredentials, Common
from connector.auth.oauth import OAuthClient
from connector.clock import BootClock
from connector.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

SECRET = "p@ss wörd+/="
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
DATE_S = 1_700_000_000.0


class Server:
    """A token endpoint on loopback that keeps what it was asked and gives what the test has set."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self.granted

    async def granted(self) -> web.StreamResponse:
        """A good answer."""
        return reply({"access_token": "secret-token", "expires_in": 3600})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep the request and answer."""
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        self.headers.append(request.headers)
        return await self.answer()


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with the test's Date; ``body`` is JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(body=raw, status=status, headers={"Date": DATE, **(headers or {})})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running server."""
    served = Server()
    app = web.Application()
    app.router.add_post("/token", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}/token"
    yield served
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application makes one."""
    async with aiohttp.ClientSession() as made:
        yield made


def client_of(session: aiohttp.ClientSession, url: str, *, body: bool = False, timeout_s: float = 5.0) -> OAuthClient:
    """A client with a secret that needs every kind of encoding."""
    extra = {"audience": "https://api.example"}
    client = ClientAuth("my id:1", SECRET, "body" if body else "basic")
    grant = ClientCredentials(Common(Address(url), client, ("a:read", "b"), extra))
    return OAuthClient(session, grant, BootClock(), timeout_s=timeout_s)


def answers(server: Server, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Let the server give this answer."""

    async def answer() -> web.StreamResponse:
        return reply(body, status, headers)

    server.answer = answer


async def refusal(client: OAuthClient) -> TokenError:
    """The error of a request; whatever it is, it holds no secret."""
    with pytest.raises(TokenError) as caught:
        await client.request_token()
    error = caught.value
    shown = repr(error) + str(error) + repr(error.__cause__)
    encoded = base64.b64encode(b"my+id%3A1:p%40ss+w%C3%B6rd%2B%2F%3D").decode()
    for secret in (SECRET, "p%40ss+w%C3%B6rd%2B%2F%3D", encoded, "secret-token", "hidden"):
        assert secret not in shown
    return error


def jwt(claims: object) -> str:
    """A JWT nobody has signed."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.c2ln"


async def test_credentials_by_basic(server: Server, session: aiohttp.ClientSession) -> None:
    """Each half is form-encoded before base64 (RFC 6749 §2.3.1); the body has grant, scopes and extras only."""
    await client_of(session, server.url).request_token()
    scheme, _, pair = server.headers[0]["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"my+id%3A1:p%40ss+w%C3%B6rd%2B%2F%3D")
    assert server.forms == [
        {"grant_type": "client_credentials", "scope": "a:read b", "audience": "https://api.example"}
    ]
    assert server.headers[0]["Content-Type"] == "application/x-www-form-urlencoded"


async def test_credentials_in_the_body(server: Server, session: aiohttp.ClientSession) -> None:
    """No Authorization header then; the server reads back what was meant."""
    await client_of(session, server.url, body=True).request_token()
    assert "Authorization" not in server.headers[0]
    assert (server.forms[0]["client_id"], server.forms[0]["client_secret"]) == ("my id:1", SECRET)


async def test_facts_of_a_jwt(server: Server, session: aiohttp.ClientSession) -> None:
    """Claims, expires_in as a string, Date; sent_at on the bridge's clock before the answer."""
    token = jwt({"exp": DATE_S + 60, "iat": DATE_S - 5})
    answers(server, {"access_token": token, "expires_in": "65"})
    before = BootClock().now()
    grant = await client_of(session, server.url).request_token()
    assert before <= grant.sent_at_s <= BootClock().now()
    assert (grant.token, grant.exp_s, grant.iat_s) == (token, DATE_S + 60, DATE_S - 5)
    assert (grant.date_s, grant.expires_in_s) == (DATE_S, 65.0)
    assert token not in repr(grant)


async def test_an_opaque_token_without_expires_in(server: Server, session: aiohttp.ClientSession) -> None:
    """No claims, no error."""
    answers(server, {"access_token": "opaque", "expires_in": None})
    grant = await client_of(session, server.url).request_token()
    assert (grant.exp_s, grant.iat_s, grant.expires_in_s) == (None, None, None)


async def test_an_answer_out_of_an_http_cache(server: Server, session: aiohttp.ClientSession) -> None:
    """Age moves Date forward and shortens expires_in."""
    answers(server, {"access_token": "t", "expires_in": 60}, headers={"Age": "20"})
    grant = await client_of(session, server.url).request_token()
    assert (grant.date_s, grant.expires_in_s) == (DATE_S + 20, 40.0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>secret-token</html>", "its body is not JSON"),
        (b"\xff\xfe", "its body is not JSON"),
        (b"[" * 100_000, "its body is not JSON"),
        (["secret-token"], "there is no access_token in it"),
        ({"accessToken": "secret-token"}, "there is no access_token in it"),
        ({"access_token": ""}, "there is no access_token in it"),
        ({"access_token": 5}, "there is no access_token in it"),
        ({"access_token": "secret-token\r\nX: y"}, "its access_token cannot be sent in a header"),
        ({"access_token": "secret-tökén"}, "its access_token cannot be sent in a header"),
    ],
)
async def test_a_useless_200(server: Server, session: aiohttp.ClientSession, body: object, why: str) -> None:
    """A TokenError that says what is wrong with the answer, but not what is in it."""
    answers(server, body)
    error = await refusal(client_of(session, server.url))
    assert str(error).startswith(f"{server.url} answered 200, but {why}; check token_url")
    assert error.status == 200


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "no such grant"},
            "(invalid_grant: no such grant); check",
        ),
        (401, {"error": "invalid_client"}, "(invalid_client); check client_id, client_secret and client_auth"),
        (403, {"error": 7}, "answered 403; the client lacks a permission"),
        (404, b"<html>", "answered 404; check token_url"),
        (500, {"error_description": f"bad secret {SECRET}\n!"}, "(bad secret *** !); the endpoint is in trouble"),
        (503, ["x"], "answered 503; the endpoint is in trouble"),
        (418, {"error": "x" * 5000}, f"answered 418 ({'x' * 200}); the endpoint"),
    ],
)
async def test_refusals(server: Server, session: aiohttp.ClientSession, status: int, body: object, says: str) -> None:
    """Status, error and description (RFC 6749 §5.2), scrubbed and cut, and what to do."""
    answers(server, body, status)
    error = await refusal(client_of(session, server.url))
    assert says in str(error)
    assert (error.status, error.retry_after_s) == (status, None)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("17", 17.0), ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0), ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0), ("later", None)],
)
async def test_429_with_retry_after(
    server: Server, session: aiohttp.ClientSession, retry_after: str, seconds: float | None
) -> None:
    """Seconds, or a date that counts from the answer's own Date: ours is years later."""
    answers(server, {"error": "slow_down"}, 429, {"Retry-After": retry_after})
    error = await refusal(client_of(session, server.url))
    assert (error.status, error.retry_after_s) == (429, seconds)


async def test_a_redirect_is_not_followed(server: Server, session: aiohttp.ClientSession) -> None:
    """The credentials stay here; the message names the target without its query."""
    answers(server, b"", 302, {"Location": "/login?session=hidden"})
    error = await refusal(client_of(session, server.url))
    assert f"it redirects to {server.url.removesuffix('/token')}/login; check token_url" in str(error)
    assert len(server.forms) == 1


async def test_no_answer_in_time(server: Server, session: aiohttp.ClientSession) -> None:
    """The limit holds for the body too, and a late answer leaves nothing behind."""

    async def dribble() -> web.StreamResponse:
        await asyncio.sleep(30)
        return reply({})

    server.answer = dribble
    started = time.monotonic()
    error = await refusal(client_of(session, server.url, timeout_s=0.2))
    assert "gave no answer within 0.2 s" in str(error)
    assert time.monotonic() - started < 5.0
    assert error.status is None


async def test_cancellation_is_no_token_error(server: Server, session: aiohttp.ClientSession) -> None:
    """A stop during a request is a stop."""

    async def never() -> web.StreamResponse:
        await asyncio.sleep(30)
        return reply({})

    server.answer = never
    task = asyncio.create_task(client_of(session, server.url).request_token())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_endless_answer(server: Server, session: aiohttp.ClientSession) -> None:
    """More than a mebibyte is no token answer; it is not read to its end."""
    answers(server, b" " * 3_000_000)
    error = await refusal(client_of(session, server.url))
    assert "ClientPayloadError" in str(error)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://user:hidden@127.0.0.1:1/token?key=hidden", "failed"),
        ("http://127.0.0.1:1/token?key=hidden", "cannot reach http://127.0.0.1:1/token ("),
        ("http://no-such-host.invalid/token", "cannot reach http://no-such-host.invalid/token ("),
        ("nonsense", "the request to token_url failed"),
        ("http://[::1/token", "the request to token_url failed"),
    ],
)
async def test_no_connection(session: aiohttp.ClientSession, url: str, says: str) -> None:
    """Refused, unknown host, a URL that is none: a TokenError without userinfo or query."""
    error = await refusal(client_of(session, url))
    assert says in str(error)
    assert error.status is None


async def test_a_server_that_hangs_up(session: aiohttp.ClientSession) -> None:
    """The connection is closed instead of an answer."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        error = await refusal(client_of(session, f"http://127.0.0.1:{port}/token"))
    assert "failed" in str(error)


async def test_tls_that_fails(session: aiohttp.ClientSession) -> None:
    """A server that speaks no TLS where https was asked."""

    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(client_of(session, f"https://127.0.0.1:{port}/token"))
    assert f"TLS with https://127.0.0.1:{port}/token failed" in str(error)


def test_no_secret_in_a_repr() -> None:
    """Neither in the credentials' nor in a request's."""
    common = Common(Address("https://u:hidden@host/t"), ClientAuth("id", SECRET), extra={"password": "hidden"})
    credentials = ClientCredentials(common)
    shown = repr(credentials) + repr(credentials.build("https://u:hidden@host/t", 0.0))
    assert SECRET not in shown
    assert "hidden" not in shown
    assert "Basic" not in shown
