"""``demo``: the whole bridge against a simulated platform, and the verdict."""

from __future__ import annotations

import click


@click.command()
@click.option("--kafka", metavar="HOST:PORT", help="Use this cluster; by default an embedded broker.")
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True, help="How long events flow."
)
def demo(kafka: str | None, seconds: float) -> int:
    """Watch a stream survive its tokens, a network drop and a forced close; then count what arrived.

    Exits with 1 unless nothing is lost, duplicated or out of order.
    """
    from connector.demo import run_demo

    return run_demo(kafka, seconds)
