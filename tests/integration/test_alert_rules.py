"""Prometheus' own judge of rules (promtool): each alert fires in the scenario it is for, and no other does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_alerts import dashboard_queries

_RULES = Path(__file__).parents[2] / "helm" / "ccaas-kafka-bridge" / "files" / "alerts.yaml"
_HELP = "This test needs promtool. Install it: apt-get install prometheus"

_STATE = 'ccaas_stream_state{job="b",stream="wfm",state="%s"}'
_HEALTHY = {
    'ccaas_build_info{job="b",version="1"}': "1x60",
    'ccaas_lanes_owned{job="b",instance="1"}': "4x60",
    'ccaas_lanes_owned{job="b",instance="2"}': "4x60",
    'ccaas_lanes_serving{job="b",instance="1"}': "4x60",
    'ccaas_lanes_serving{job="b",instance="2"}': "4x60",
    'ccaas_lanes_configured{job="b",instance="1"}': "8x60",
    'ccaas_lanes_configured{job="b",instance="2"}': "8x60",
    _STATE % "live": "1x60",
    'ccaas_reading_paused{job="b",stream="wfm"}': "0x60",
    'ccaas_stream_suspended{job="b",stream="wfm"}': "0x60",
    'ccaas_rotations_total{job="b",stream="wfm",how="caught_up"}': "0+1x60",
    'ccaas_rotation_failures_total{job="b",stream="wfm"}': "0+0x60",
    'ccaas_auth_failures_total{job="b",stream="wfm"}': "0+0x60",
    'ccaas_token_requests_total{job="b",platform="genesys",outcome="granted"}': "0+1x60",
    'ccaas_clock_skew_seconds{job="b",platform="genesys"}': "0.4x60",
    'ccaas_redis_up{job="b",use="tokens"}': "1x60",
    'ccaas_configuration_refused{job="b",instance="1"}': "0x60",
}
"""Two workers and a stream whose token is rotated every minute, for an hour; a sample a minute."""
_FROM_20 = "0x20 1x40"
_GONE_4 = "4x20 _x40"
_NOT_LIVE = {_STATE % "live": "1x20 0x40"}

_SCENARIOS: dict[str, tuple[dict[str, str], str | None]] = {
    "a healthy hour": ({}, None),
    "a short drop": ({_STATE % "backing_off": "0x29 1 0x30"}, None),
    "a rotation": ({_STATE % "rotating": "0x29 1 0x30", _STATE % "overlap": "0x30 1 0x29"}, None),
    "one 1008": ({'ccaas_auth_failures_total{job="b",stream="wfm"}': "0x20 1x40"}, None),
    "the token endpoint hiccups": (
        {'ccaas_token_requests_total{job="b",platform="genesys",outcome="http_503"}': "0x25 2x35"},
        None,
    ),
    "a worker left, the other has its lanes": (
        {
            'ccaas_lanes_owned{job="b",instance="1"}': "4x20 8x40",
            'ccaas_lanes_owned{job="b",instance="2"}': "4x20 _x40",
            'ccaas_lanes_serving{job="b",instance="1"}': "4x20 8x40",
            'ccaas_lanes_serving{job="b",instance="2"}': "4x20 _x40",
        },
        None,
    ),
    "all workers gone": (
        {name: values.replace("x60", "x20 _x40") for name, values in _HEALTHY.items()},
        "CcaasNoWorker",
    ),
    "a worker died, nobody took over": (
        {'ccaas_lanes_owned{job="b",instance="2"}': _GONE_4, 'ccaas_lanes_serving{job="b",instance="2"}': _GONE_4},
        "CcaasLaneWithoutOwner",
    ),
    "Kafka lost sight of a worker": (
        {
            'ccaas_lanes_owned{job="b",instance="2"}': "4x20 0x40",
            'ccaas_lanes_serving{job="b",instance="2"}': "4x20 0x40",
        },
        "CcaasLaneWithoutOwner",
    ),
    "a lane may not open": ({'ccaas_lanes_serving{job="b",instance="2"}': "4x20 3x40"}, "CcaasLaneBlocked"),
    "the bridge has a fault": ({'ccaas_stream_faults_total{job="b",stream="wfm"}': "_x25 1x35"}, "CcaasStreamFault"),
    "the network is down": (_NOT_LIVE | {_STATE % "backing_off": _FROM_20}, "CcaasNetworkDown"),
    "the breaker is open": (_NOT_LIVE | {_STATE % "breaker_open": _FROM_20}, "CcaasNetworkDown"),
    "a fresh token is refused": (
        _NOT_LIVE | {_STATE % "refused": _FROM_20, 'ccaas_auth_failures_total{job="b",stream="wfm"}': "0x20 1+1x40"},
        "CcaasCredentialRefused",
    ),
    "no token": (_NOT_LIVE | {_STATE % "awaiting_token": _FROM_20}, "CcaasNoToken"),
    "the token endpoint fails while the token lives": (
        {'ccaas_token_requests_total{job="b",platform="genesys",outcome="http_503"}': "0x20 1+1x40"},
        "CcaasTokenEndpointFails",
    ),
    "a gap": ({'ccaas_gaps_total{job="b",stream="wfm",reason="retention"}': "_x25 1x35"}, "CcaasGap"),
    "one more gap": ({'ccaas_gaps_total{job="b",stream="wfm",reason="jump"}': "1x25 2x35"}, "CcaasGap"),
    "an old gap": ({'ccaas_gaps_total{job="b",stream="wfm",reason="jump"}': "1x60"}, None),
    "a dead letter": (
        {'ccaas_dead_letters_total{job="b",stream="wfm",reason="not_json"}': "_x25 1x35"},
        "CcaasDeadLetter",
    ),
    "poison": ({'ccaas_poison_alerts_total{job="b",stream="wfm"}': "_x25 1x35"}, "CcaasMuchCannotBeRead"),
    "poison again": ({'ccaas_poison_alerts_total{job="b",stream="wfm"}': "1x25 2x35"}, "CcaasMuchCannotBeRead"),
    "a topic was deleted": (
        {
            'ccaas_stream_suspended{job="b",stream="wfm"}': _FROM_20,
            'ccaas_reading_paused{job="b",stream="wfm"}': _FROM_20,
        },
        "CcaasTopicUnwritable",
    ),
    "Kafka is away": ({'ccaas_reading_paused{job="b",stream="wfm"}': _FROM_20}, "CcaasBufferFull"),
    "rotations fail": (
        {'ccaas_rotation_failures_total{job="b",stream="wfm"}': "0x20 1+1x40"},
        "CcaasRotationFails",
    ),
    "tokens die early": ({'ccaas_auth_failures_total{job="b",stream="wfm"}': "0x20 1+1x40"}, "CcaasTokensDieEarly"),
    "clocks differ": ({'ccaas_clock_skew_seconds{job="b",platform="genesys"}': "-90x60"}, "CcaasClockSkew"),
    "a changed configuration is refused": (
        {'ccaas_configuration_refused{job="b",instance="1"}': _FROM_20},
        "CcaasConfigurationRefused",
    ),
    "Redis is away": ({'ccaas_redis_up{job="b",use="tokens"}': "1x20 0x40"}, "CcaasRedisDown"),
}


def _promtool(directory: Path, tests: list[dict[str, Any]]) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.fail(_HELP, pytrace=False)
    file = directory / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(_RULES)], "tests": tests}), encoding="utf-8")
    ran = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"


@pytest.mark.tools
@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_alert_fires_in_its_scenario_and_no_other_does(scenario: str, tmp_path: Path) -> None:
    """Things go wrong after 20 to 25 minutes; looked at after 33."""
    changed, alert = _SCENARIOS[scenario]
    series = [{"series": name, "values": values} for name, values in (_HEALTHY | changed).items()]
    firing = [] if alert is None else [{"labels": f'{{alertname="{alert}"}}', "value": 1}]
    query = 'count by (alertname) (ALERTS{alertstate="firing"})'
    asked = {"expr": query, "eval_time": "33m", "exp_samples": firing}
    _promtool(tmp_path, [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}])


def test_every_alert_has_a_scenario() -> None:
    """None fires where nobody has looked."""
    rules = yaml.safe_load(_RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == {alert for _, alert in _SCENARIOS.values() if alert}


@pytest.mark.tools
def test_dashboard_queries_are_promql(tmp_path: Path) -> None:
    """Each is parsed and evaluated, on nothing."""
    names = {"$__rate_interval": "5m", "$job": ".*", "$stream": ".*"}
    queries = []
    for query in dashboard_queries():
        for name, value in names.items():
            query = query.replace(name, value)  # noqa: PLW2901 - filled in step by step
        zero = [{"labels": "{}", "value": 0}] if "vector(0)" in query else []
        queries.append({"expr": query, "eval_time": "5m", "exp_samples": zero})
    _promtool(tmp_path, [{"interval": "1m", "input_series": [], "promql_expr_test": queries}])
