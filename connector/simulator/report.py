"""The world's state as JSON-able dictionaries, for ``/_ctl/stats``, ``/_ctl/ledger`` and the snapshot. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from connector.simulator.world import World

_COUNTS = (
    "opens", "closes", "expiry_closes", "expired_positions", "refused", "unauthorized", "tokens", "token_429",
    "token_errors", "snapshots",
)  # fmt: skip


def stats(world: World) -> dict[str, Any]:
    """Counts over all streams, and for each stream its head and its sockets.

    ``{"opens", "closes", …, "open", "uptime_s", "streams": {name: {"head", "epoch", "open", "max_sockets",
    "overlap_s", "sent"}}}``; ``sent`` counts events over all sockets.
    """
    now_s = world.now()
    _write_down(world)
    streams: dict[str, Any] = {}
    for name, log in world.streams.items():
        head = log.timeline.head(now_s)
        overlap = world.ledger.overlaps[name]
        streams[name] = {
            "head": log.positions.position_of(head),
            "epoch": log.positions.mark_of(head).epoch,
            "open": overlap.now,
            "max_sockets": overlap.most,
            "overlap_s": round(overlap.seconds_at(now_s), 6),
            "sent": sum(record.sent_events for record in world.ledger.of(name)),
        }
    return {
        **{name: world.ledger.counts[name] for name in _COUNTS},
        "open": len(world.sockets),
        "uptime_s": now_s - world.started_at_s,
        "streams": streams,
    }


def ledger(world: World, stream: str) -> dict[str, Any]:
    """What exists of a stream and what each socket was sent.

    ``{"stream", "head", "epoch", "exists": [[epoch, first, last]], "oldest_kept", "poison": [[epoch, position]],
    "max_sockets", "overlap_s", "sockets": [SocketRecord…], "tokens": [{jti, issued_at_s, expires_at_s, death}]}``.
    Instants of tokens are the platform's clock, all others the machine's.
    """
    now_s = world.now()
    _write_down(world)
    log = world.stream(stream)
    head = log.timeline.head(now_s)
    gone = log.timeline.head(now_s - world.settings.retention_s)
    overlap = world.ledger.overlaps[stream]
    return {
        "stream": stream,
        "head": log.positions.position_of(head),
        "epoch": log.positions.mark_of(head).epoch,
        "exists": [list(run) for run in log.positions.runs(0, head)],
        "oldest_kept": log.positions.position_of(gone + 1) if gone < head else None,
        "poison": [list(each) for each in log.poisoned()],
        "max_sockets": overlap.most,
        "overlap_s": overlap.seconds_at(now_s),
        "sockets": [asdict(record) for record in world.ledger.of(stream)],
        "tokens": [
            {"jti": each.jti, "issued_at_s": each.issued_at_s, "expires_at_s": each.expires_at_s, "death": each.death}
            for each in world.tokens.issued.values()
        ],
    }


def snapshot(world: World, stream: str) -> dict[str, Any]:
    """The active conversations once the newest event has been said: ``{position name, "asOf", "conversations"}``."""
    now_s = world.now()
    log = world.stream(stream)
    return {
        world.settings.position_name: log.position_at(now_s),
        "asOf": int(world.platform_now() * 1000),
        "conversations": log.conversations(now_s),
    }


def _write_down(world: World) -> None:
    for each in world.sockets:
        each.session.write_down()
