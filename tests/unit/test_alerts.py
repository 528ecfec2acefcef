"""Rules, dashboard and reference page speak of metrics that exist, and of chapters that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import metrics_reference
from connector.web.metrics import Metrics

_ROOT = Path(__file__).parents[2]
_FILES = _ROOT / "helm" / "ccaas-kafka-bridge" / "files"
_KNOWN = {metric.name for metric in Metrics().described}
_RULES = [rule for group in yaml.safe_load((_FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def _anchors(page: Path) -> set[str]:
    """The headings' anchors as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: str(rule["alert"]))
def test_alert_has_metrics_severity_and_runbook(rule: dict[str, Any]) -> None:
    """Its runbook is a chapter of the page on failures."""
    assert metrics_reference.metrics_in(rule["expr"])
    assert metrics_reference.metrics_in(rule["expr"]) <= _KNOWN
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in _anchors(_ROOT / page)


def dashboard_queries() -> Iterator[str]:
    """Every PromQL expression of the dashboard."""
    dashboard = json.loads((_FILES / "dashboard.json").read_text(encoding="utf-8"))
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])


@pytest.mark.parametrize("query", list(dashboard_queries()))
def test_dashboard_asks_for_metrics_that_exist(query: str) -> None:
    """None that was renamed or removed."""
    assert metrics_reference.metrics_in(query)
    assert metrics_reference.metrics_in(query) <= _KNOWN


def test_described_metrics_are_those_that_are_shown() -> None:
    """The page is made from descriptions beside the registry; both have the same names."""
    metrics = Metrics()
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
        if family.name.startswith("ccaas_")
    }
    assert shown == _KNOWN


def test_reference_page_has_not_drifted() -> None:
    """`python -m connector.metrics_reference > docs/metrics.md` mends it."""
    assert (_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_reference.page()
