"""What platforms of one worker share, and what they don't."""

from __future__ import annotations

from contextlib import AsyncExitStack
from random import Random
from typing import cast

import aiohttp

from connector.settings import Settings
from connector.web.metrics import Metrics
from connector.worker.board import Board
from connector.worker.observer import Observer
from connector.worker.platform_clients import PlatformClients
from tests.fakes.clock import FakeClock
from tests.support.bridge_process import configuration


async def test_platforms_with_the_same_files_share_one_tls_context() -> None:
    """A thousand tenants are a thousand platforms; each has its session and its tokens, but not its own authorities."""
    config = configuration(group="g", kafka="127.0.0.1:1", platform_url="http://127.0.0.1:1", streams=[])
    (platform,) = config["platforms"].values()
    config["platforms"] = dict.fromkeys(("a", "b"), platform)
    config["streams"] = [{"name": name, "platform": name, "topic": "t"} for name in ("a", "b")]
    clients = PlatformClients(FakeClock(), Random(1), Observer(Metrics(), Board({})))
    async with AsyncExitStack() as stack:
        await clients.open(Settings.model_validate(config), stack)
        sessions = [clients[name].session for name in ("a", "b")]
        contexts = {cast("aiohttp.TCPConnector", session.connector)._ssl for session in sessions}  # noqa: SLF001
        assert len(contexts) == 1
        assert sessions[0] is not sessions[1]
        assert clients["a"].tokens is not clients["b"].tokens
