"""``python -m connector.metrics_reference``: the reference page of the metrics, made from their registry.

Prints the page; ``docs/metrics.md`` is this output, and a test fails when it has drifted. Read from a source tree: the
alerts that use a metric are those of the chart.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from connector.web.metrics import Metrics

ALERTS = Path(__file__).parents[1] / "helm" / "ccaas-kafka-bridge" / "files" / "alerts.yaml"
_INTRODUCTION = """\
# Metrics

<!-- made by `python -m connector.metrics_reference`; do not edit -->

Each worker shows its own on `/metrics` of `http.listen` (or `http.probes`), as Prometheus text or OpenMetrics. Labels
are bounded: streams and platforms are the configuration's, all other values the code's own. A worker shows gauges of a
stream only while it owns the stream's lane. Rotation and network are counted apart, and never both.

A stream is *quiet* while `ccaas_complete_until_timestamp_seconds` advances without events, *stale* when it does not.

Beside these, `process_*` and `python_*` tell of the worker's process. A histogram has `_bucket`, `_sum` and `_count`.

| name | type | labels | unit | | used by |
| --- | --- | --- | --- | --- | --- |"""
_METRIC = re.compile(r"ccaas_\w+")
_PARTS_OF_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


def page() -> str:
    """The whole page, in Markdown."""
    users = alerts_of(ALERTS.read_text(encoding="utf-8"))
    return "\n".join([_INTRODUCTION, *_rows(users)]) + "\n"


def alerts_of(rules: str) -> dict[str, list[str]]:
    """Metric → names of the alerts whose expression has it; from the text of a rule file."""
    users: dict[str, list[str]] = {}
    for group in yaml.safe_load(rules)["groups"]:
        for rule in group["rules"]:
            for metric in sorted(metrics_in(rule["expr"])):
                users.setdefault(metric, []).append(rule["alert"])
    return users


def metrics_in(expression: str) -> set[str]:
    """The bridge's metrics in a PromQL expression, histograms by their own name."""
    names = set(_METRIC.findall(expression))
    known = {metric.name for metric in Metrics().described}
    return {name if name in known else _PARTS_OF_HISTOGRAM.sub("", name) for name in names}


def _rows(users: Mapping[str, list[str]]) -> Iterator[str]:
    for metric in sorted(Metrics().described):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        alerts = ", ".join(users.get(metric.name, ()))
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {_unit(metric.name)} | {metric.meaning} | {alerts} |"


def _unit(name: str) -> str:
    words = name.removesuffix("_total").split("_")
    if words[-2:] == ["timestamp", "seconds"]:
        return "seconds since 1970"
    return words[-1] if words[-1] in ("seconds", "bytes") else ""


if __name__ == "__main__":
    sys.stdout.write(page())
