"""The ledger's report: the same facts for people and for programs."""

from __future__ import annotations

import json

from connector.audit import AuditReport, Unread
from connector.audit.report import as_json, as_text
from connector.core.evidence import StreamEvidence
from connector.core.verdict import GapRecord, Point, StreamVerdict


def _verdict(*positions: int) -> StreamVerdict:
    evidence = StreamEvidence("wfm")
    for position in positions:
        evidence.event("events", 0, b"a", 0, position)
    evidence.gap(GapRecord(0, 7, 8, "retention"))
    evidence.checkpoint = Point(0, 8)
    return evidence.verdict()


def test_held_is_the_last_line() -> None:
    """And the figures before it."""
    text = as_text(AuditReport((_verdict(1, 2, 3, 4, 5, 6),), records=8, foreign=0, unread=()))
    assert "epoch 0: positions 1 to 8: 6 events" in text
    assert "0/7 to 8 (retention)" in text
    assert "checkpoint: 0/8, 0 positions written since" in text
    assert text.splitlines()[-1].startswith("HELD")


def test_fault_names_its_positions() -> None:
    """Missing and duplicated ones, each range."""
    text = as_text(AuditReport((_verdict(1, 2, 2, 5, 6),), records=8, foreign=0, unread=()))
    assert "missing 3 to 4" in text
    assert "duplicated 2" in text
    assert text.splitlines()[-1].startswith("BROKEN")


def test_unread_is_neither_held_nor_broken() -> None:
    """Where reading stopped, and that nothing is claimed."""
    report = AuditReport((_verdict(1, 2, 3, 4, 5, 6),), 8, 0, (Unread("events", 1, 5, 9),))
    assert not report.held
    assert "unread: events, partition 1, offsets 5 to 9" in as_text(report)
    assert as_text(report).splitlines()[-1].startswith("NOT PROVED")


def test_what_retention_took_is_said() -> None:
    """From where holes can be told."""
    evidence = StreamEvidence("wfm")
    evidence.event("events", 0, b"a", 2, 9)
    report = AuditReport((evidence.verdict({("events", 0)}),), 1, 0, (), (("events", 0),))
    assert "holes are told from 2/9" in as_text(report)
    evidence.written = {"events": {0, 1}}
    blind = AuditReport((evidence.verdict({("events", 1)}),), 1, 0, (), (("events", 1),))
    assert "holes cannot be told" in as_text(blind)


def test_json_has_every_figure() -> None:
    """Spans as first and last."""
    document = json.loads(as_json(AuditReport((_verdict(1, 2, 2, 5, 6),), 8, 0, (Unread("events", 1, 5, 9),))))
    (stream,) = document["streams"]
    assert (document["held"], stream["held"], stream["missing"], stream["duplicated"]) == (False, False, 2, 1)
    assert stream["epochs"][0]["missing_spans"] == [{"first": 3, "last": 4}]
    assert stream["gaps"] == [{"epoch": 0, "first": 7, "last": 8, "reason": "retention"}]
    assert stream["checkpoint"] == {"epoch": 0, "position": 8}
    assert document["unread"] == [{"topic": "events", "partition": 1, "position": 5, "end": 9}]
