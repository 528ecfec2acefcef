"""What the configuration says to Kafka Connect's clients: flat, checked, and never a secret."""

from __future__ import annotations

import logging
import time

import pytest

from connector.settings import Settings
from connector.web.loggers import Loggers
from connector.worker.catalogue import Catalogue
from tests.fakes.control import FakeControl
from tests.unit.test_settings import SECRET, changed, minimum


def catalogue() -> Catalogue:
    """Of the minimum, with secrets wherever one fits."""
    document = minimum()
    document["platforms"]["genesys"] |= {
        "headers": {"x-api-key": SECRET},
        "snapshot_url": f"https://p.example.com/summary?key={SECRET}",
    }
    document["platforms"]["genesys"]["auth"]["extra_parameters"] = {"audience": SECRET}
    document["streams"][0]["redact"] = ["/participants", "/notes"]
    document["streams"][0]["routes"] = [{"match": {"event_type": "agent.*"}, "topic": "ccaas.agents"}]
    return Catalogue(Settings(**document))


def test_a_streams_configuration_is_flat_text() -> None:
    """With what Kafka Connect's clients look for, and its platform's."""
    config = catalogue().config("wfm")
    assert all(isinstance(value, str) for value in config.values())
    assert (config["name"], config["connector.class"], config["tasks.max"]) == ("wfm", "genesys-sequence", "1")
    assert config["key"] == "/conversationId,/userId,/agentId,/queueId"
    assert config["buffer.events"] == "5000"
    assert config["platform.contiguous"] == "true"
    assert config["platform.snapshot_url"] == "https://p.example.com/summary"
    assert '"ccaas.agents"' in config["routes"]


def test_no_secret_is_in_it() -> None:
    """Not in a value, a URL, a header or a parameter."""
    assert SECRET not in str(catalogue().config("wfm"))


def test_topics_and_plugins() -> None:
    """What may be written, and which kinds there are."""
    assert catalogue().topics("wfm") == ["ccaas.events", "ccaas.agents"]
    assert {"genesys-sequence", "nice-offset"} <= set(catalogue().plugins())


def test_its_own_configuration_is_valid() -> None:
    """What is told can be sent back."""
    config = catalogue().config("wfm")
    assert catalogue().faults("genesys-sequence", config) == {}


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("topic", "no topic!", "legal topic name"),
        ("start", "someday", "earliest, latest"),
        ("platform", "nobody", "not among the platforms"),
        ("tasks.max", "2", "should be 1"),
        ("buffer.events", "0", "greater than or equal to 1"),
        ("routes", "{", "list"),
        ("key", "noslash", "JSON pointer"),
    ],
)
def test_faults_are_told_by_key(key: str, value: str, fault: str) -> None:
    """In the words of the configuration."""
    (told,) = catalogue().faults("genesys-sequence", {**catalogue().config("wfm"), key: value}).items()
    assert told[0] == key
    assert fault in " ".join(told[1])


def test_a_platform_of_another_kind() -> None:
    """A plugin is a kind."""
    assert "is of kind" in catalogue().faults("nice-offset", catalogue().config("wfm"))["platform"][0]
    assert set(catalogue().faults("nice-offset", {})) == {"name", "platform", "topic"}


def test_every_definition_is_described() -> None:
    """With its default, and whether it is required."""
    definitions = {each.name: each for each in Catalogue(Settings(**changed("lanes", 2))).definitions()}
    assert definitions["start"].default == "latest"
    assert definitions["topic"].required
    assert definitions["topic"].default is None
    assert all(each.documentation for each in definitions.values())


def test_levels_at_run_time() -> None:
    """A logger and those below it; log4j's names for the levels."""
    loggers = Loggers(FakeControl())
    parent, child = logging.getLogger("tests.levels"), logging.getLogger("tests.levels.deep")
    child.setLevel(logging.ERROR)
    assert loggers.set("tests.levels", "DEBUG") == ["tests.levels", "tests.levels.deep"]
    assert child.isEnabledFor(logging.DEBUG)
    assert loggers.set("tests.levels", "WARN") == ["tests.levels", "tests.levels.deep"]
    assert not parent.isEnabledFor(logging.INFO)
    told = loggers.all()["tests.levels"]
    assert told["level"] == "WARN"
    assert isinstance(told["last_modified"], int)
    assert loggers.all()["root"]["last_modified"] is None


def test_levels_of_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run hear of it; what is kept in the topic does not reach one that begins later; noise is no level."""
    control, logger = FakeControl(), logging.getLogger("tests.everywhere")
    here = Loggers(control)
    here.set_everywhere("tests.everywhere", "ERROR")
    assert logger.level == logging.ERROR
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(time, "time_ns", lambda: 10**19)
    later = Loggers(control)
    assert logger.level == logging.INFO
    for value in (b"7", b"{", b'{"level": "LOUD", "at_ms": 100000000000000}', None):
        control.publish("$logger/tests.everywhere", value)
    assert logger.level == logging.INFO
    control.publish("$logger/tests.everywhere", b'{"level": "DEBUG", "at_ms": 100000000000000}')
    assert logger.level == logging.DEBUG
    assert later.all()["tests.everywhere"]["level"] == "DEBUG"
