"""``ccaas-bridge demo``: the cluster, the play, the independent ledger, the verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from rich.console import Console
from rich.text import Text

from connector.audit import Scope, audit
from connector.demo.cluster import Cluster, open_cluster
from connector.demo.logs import captured_warnings
from connector.demo.play import DidNotPlay, Interrupted, Play
from connector.demo.scenario import STREAM, TOKEN_LIFE_S, Scenario
from connector.demo.show import LivePicture, PlainLines, Show
from connector.demo.state import DemoState
from connector.demo.verdict import Played, judge, sent_positions
from connector.demo.view import Stage, verdict_text
from connector.errors import PrerequisiteError

EXIT_HELD, EXIT_NOT_HELD, EXIT_PREREQUISITE, EXIT_INTERRUPTED = 0, 1, 3, 130
_OPEN_TRANSACTION_S: Final = 10.0
_WARNINGS_SHOWN: Final = 12


def run_demo(kafka: str | None, seconds: float) -> int:
    """Play, judge, say so; returns the exit code of CONTRACT.md.

    ``kafka``: ``HOST:PORT`` of a real cluster, None: an embedded broker. ``seconds``: how long events flow.
    Takes the process's logging and signals until it returns.
    """
    console = _Audience(highlight=False)
    state = DemoState()
    scenario = Scenario.new(seconds)
    try:
        with captured_warnings(state.warn):
            return _with_cluster(console, scenario, state, open_cluster(kafka))
    except PrerequisiteError as error:
        _say(console, str(error), "bold red")
        return EXIT_PREREQUISITE
    except DidNotPlay as error:
        _say(console, f"The demo was not played: {error}", "bold red")
        _show_warnings(console, state)
        return EXIT_NOT_HELD
    except (Interrupted, KeyboardInterrupt):
        _say(console, "Interrupted.", "yellow")
        return EXIT_INTERRUPTED


def _with_cluster(console: Console, scenario: Scenario, state: DemoState, cluster: Cluster) -> int:
    """Whatever happens, nothing is left on the cluster that can be removed."""
    try:
        if cluster.stays:
            _say(console, f"{cluster.label}: this run's topics and group are called {scenario.group}", "bold")
        cluster.prepare(scenario.topics)
        played = asyncio.run(_play(console, scenario, state, cluster))
        return _judged(console, scenario, state, cluster, played)
    finally:
        former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not keep us from clearing up
        try:
            left = cluster.close(scenario.group)
        finally:
            signal.signal(signal.SIGINT, former)
        if left:
            _say(console, left, "dim")


async def _play(console: Console, scenario: Scenario, state: DemoState, cluster: Cluster) -> Played:
    async with scenario.platform() as platform:
        settings = scenario.settings(platform, cluster)
        stage = Stage(
            kafka=cluster.label,
            platform=platform.base_url,
            metrics=f"http://{settings.http.listen}/metrics",
            seconds=scenario.seconds,
            token_life_s=TOKEN_LIFE_S,
            least_rotations=scenario.least_rotations,
        )
        play = Play(scenario, platform, settings, state)
        show = asyncio.create_task(_show(console, stage).run(play))
        try:
            await play.run()
        finally:
            show.cancel()
            with suppress(asyncio.CancelledError):
                await show
        sockets = platform.ledger(STREAM)["sockets"]
    return Played(
        sent=sent_positions(run for socket in sockets for run in socket["sent"]),
        rotations=state.rotations,
        least_rotations=scenario.least_rotations,
        resets=state.resets,
        closes_1008=state.closes_1008,
    )


def _judged(console: Console, scenario: Scenario, state: DemoState, cluster: Cluster, played: Played) -> int:
    client: dict[str, str | float] = {
        "bootstrap.servers": cluster.bootstrap_servers,
        "log_level": 3,
    }  # errors, by syslog's numbers
    report = audit(
        client,
        scenario.group,
        [scenario.events_topic],
        Scope(frozenset({STREAM})),
        open_transaction_wait_s=_OPEN_TRANSACTION_S,
    )
    verdict = judge(report, played)
    text = verdict_text(verdict, scenario.events_topic, state.longest_overlap_s, state.duplicates_dropped)
    console.print(text, soft_wrap=True)
    if verdict.held:
        return EXIT_HELD
    if verdict.duplicated and not cluster.hides_aborted:
        _say(
            console,
            "The embedded broker, unlike Kafka, shows its readers the records of aborted transactions: if the bridge "
            "renewed its producer within one (below), the duplicates may be those. --kafka gives proof.",
            "yellow",
        )
    _show_warnings(console, state)
    return EXIT_NOT_HELD


class _Audience(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads on, as behind ``| head``: end as on Ctrl-C."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGINT)


def _show(console: Console, stage: Stage) -> Show:
    live = sys.stdout.isatty() and not console.is_dumb_terminal
    return LivePicture(console, stage) if live else PlainLines(console, stage)


def _show_warnings(console: Console, state: DemoState) -> None:
    for warning in list(state.warnings)[-_WARNINGS_SHOWN:]:
        _say(console, f"  log: {warning}", "dim")


def _say(console: Console, text: str, style: str) -> None:
    console.print(Text(text, style=style), soft_wrap=True)
