"""``make bench`` = ``python -m tests.bench``: what one worker can do, each figure beside its floor of the same run.

Ratios count; absolute numbers depend on the machine and on what else it does. Every benchmark reads the topics in the
end: where events are missing, doubled or out of order its figures are invalid, and the exit code is 1. Being slow is
never a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import catch_up, flood, latency, many
from tests.bench.figures import Outcome, show
from tests.bench.rig import Rig
from tests.support.maven_broker import BrokerUnavailableError, MavenBroker

_BENCHMARKS: dict[str, Callable[[Rig], Outcome]] = {
    module.NAME: module.run for module in (catch_up, latency, many, flood)
}
_EXIT_INVALID, _EXIT_NO_BROKER = 1, 3


def main() -> int:
    """Run what was asked for and report."""
    options = _parser().parse_args()
    names = options.only or list(_BENCHMARKS)
    with tempfile.TemporaryDirectory(prefix="ccaas-bench-") as directory:
        try:
            broker = MavenBroker(Path(directory) / "kafka", java_options=())
            broker.start()
        except BrokerUnavailableError as error:
            sys.stderr.write(f"{error}\n")
            return _EXIT_NO_BROKER
        try:
            rig = Rig(broker, Path(directory), shlex.split(options.bridge), options.quick)
            outcomes = [_run(name, rig) for name in names]
        finally:
            broker.close()
    show(outcomes)
    if options.json is not None:
        document = {
            "python": machine.python_version(),
            "machine": machine.machine(),
            "cores": os.cpu_count(),
            "quick": options.quick,
            "benchmarks": [outcome.document() for outcome in outcomes],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return _EXIT_INVALID if any(outcome.faults for outcome in outcomes) else 0


def _run(name: str, rig: Rig) -> Outcome:
    """One benchmark; one that cannot end as it should is invalid, and the others still run."""
    sys.stderr.write(f"{name} …\n")
    try:
        return _BENCHMARKS[name](rig)
    except (RuntimeError, TimeoutError) as error:
        sys.stderr.write(f"{error}\n")
        return Outcome(name, faults=[str(error).partition("\n")[0]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, for a look")
    parser.add_argument("--only", action="append", choices=list(_BENCHMARKS), help="this one alone; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    parser.add_argument(
        "--bridge",
        default=shlex.join([str(Path(sys.executable).with_name("ccaas-bridge")), "run"]),
        metavar="COMMAND",
        help="what runs the service, to compare another build; '-c FILE' is added (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
