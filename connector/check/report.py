"""Findings for people and as JSON."""

from __future__ import annotations

from collections import Counter

import orjson

from connector.check import CheckReport
from connector.core.finding import State


def as_json(report: CheckReport) -> str:
    """One document."""
    return orjson.dumps(
        {"v": 1, "passed": report.passed, "findings": report.findings}, option=orjson.OPT_INDENT_2
    ).decode()


def as_text(report: CheckReport) -> str:
    """A line a finding, how to mend it below; the last line counts them."""
    lines = []
    for finding in report.findings:
        lines.append(f"{finding.state:8}{finding.prerequisite}: {finding.detail}")
        if finding.mend:
            lines.append(f"        -> {finding.mend}")
    counts = Counter(finding.state for finding in report.findings)
    lines.append(", ".join(f"{counts[state]} {state}" for state in State if counts[state]))
    return "\n".join(lines)
