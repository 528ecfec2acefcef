"""A bad network between the bridge and Kafka: connections cut, requests held back and delayed, at random."""

from __future__ import annotations

import asyncio
import random

from tests.support.endtxn_proxy import EndTxnProxy


async def disturb(proxy: EndTxnProxy, rng: random.Random) -> str:
    """One disturbance, from its beginning to its end; returns what it was."""
    kind = rng.choice(["cut", "delay", "pause", "hold", "cut while held"])
    seconds = rng.uniform(0.1, 3.0)
    try:
        if kind == "cut":
            await asyncio.to_thread(proxy.cut)
        elif kind == "delay":
            await asyncio.to_thread(proxy.delay, seconds / 20)
            await asyncio.sleep(2 * seconds)
        elif kind == "pause":
            await asyncio.to_thread(proxy.pause)
            await asyncio.sleep(seconds)
        else:  # the end of a transaction arrives late, or after its sender is gone
            await asyncio.to_thread(proxy.hold_end_txn)
            await asyncio.sleep(seconds / 2)
            if kind == "cut while held":
                await asyncio.to_thread(proxy.cut)
            await asyncio.sleep(seconds / 2)
    finally:
        await asyncio.to_thread(proxy.delay, 0.0)
        await asyncio.to_thread(proxy.resume)
        await asyncio.to_thread(proxy.release)
    return f"{kind} {seconds:.1f}"
