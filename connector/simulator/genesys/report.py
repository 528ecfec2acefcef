"""The world's state as JSON-able dictionaries, for ``/_ctl/stats`` and ``/_ctl/ledger``. Pure."""

from __future__ import annotations

from typing import Any

from connector.simulator.genesys.outlet import OutletRecord
from connector.simulator.genesys.world import World


def stats(world: World) -> dict[str, Any]:
    """Counts of everything so far.

    ``{"channels": {client: {"alive", "most_alive", "created", "evicted"}}, "grants": {client: n}, "requests":
    {"POST /api/v2/…": n}, "throttled", "sockets": {"opened", "open", "displaced"}, "told", "sent"}``.
    """
    world.advance()
    now_s = world.platform_now()
    channels = world.channels
    return {
        "channels": {
            client: {
                "alive": sum(1 for _ in channels.alive(client, now_s)),
                "most_alive": channels.most_alive[client],
                "created": channels.created[client],
                "evicted": channels.evicted[client],
            }
            for client in world.settings.clients
        },
        "grants": world.clients.issued(),
        "requests": dict(world.requests),
        "throttled": world.counts["throttled"],
        "sockets": {
            "opened": len(world.records),
            "open": len(world.sockets),
            "displaced": world.counts["displaced"],
        },
        "told": len(world.life.told),
        "sent": sum(len(record.sent) for record in world.records),
    }


def ledger(world: World) -> dict[str, Any]:
    """What happened, what each socket was sent, and what became of the channels.

    Instants of sockets are the machine's clock, ``time_ms`` and those of channels the platform's.
    """
    world.advance()
    now_s = world.platform_now()
    return {
        "happened": [
            {
                "number": each.number,
                "topic": each.topic,
                "time_ms": each.time_ms,
                "keys": each.keys,
                "sha256": each.sha256,
            }
            for each in world.life.told
        ],
        "sockets": [_socket(each) for each in world.records],
        "channels": [
            {
                "channel": each.channel_id,
                "client": each.client_id,
                "token": each.token.jti,
                "topics": len(each.topics),
                "ended": each.ended(now_s),
            }
            for each in world.channels.all.values()
        ],
    }


def _socket(record: OutletRecord) -> dict[str, Any]:
    return {
        "channel": record.channel_id, "client": record.client_id, "token": record.token,
        "opened_at_s": record.opened_at_s, "closed_at_s": record.closed_at_s, "code": record.code, "by": record.by,
        "sent": list(record.sent),
    }  # fmt: skip
