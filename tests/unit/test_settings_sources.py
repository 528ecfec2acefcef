"""Where values come from: environment and file, secrets from files of their own; and that no secret is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.settings import PlatformSettings, Settings, load
from tests.unit.test_settings import changed, minimum, sequence

_SECRET = "hush-hush-71"
_OTHER = "hush-hush-72"


def _file(tmp_path: Path, document: dict[str, Any]) -> Path:
    path = tmp_path / "bridge.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _message(path: Path | None, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ)
    assert _SECRET not in str(caught.value)
    return str(caught.value)


def _client_secret(platform: PlatformSettings) -> str:
    secret = platform.auth.client_secret
    assert secret is not None
    return secret.get_secret_value()


# ---------------------------------------------------------------------- environment


def test_environment_alone_is_enough() -> None:
    """Every value, also inside mappings; lists and mappings as JSON; other variables are not ours."""
    settings = load(
        None,
        {
            "PATH": "/bin",
            "CCAAS_BRIDGE_PORT": "tcp://10.0.0.1",  # as Kubernetes sets it
            "CCAAS__GROUP": "g",
            "CCAAS__LANES": "4",
            "CCAAS__KAFKA__BOOTSTRAP_SERVERS": "b:9092",
            "CCAAS__KAFKA__CLIENT__SSL_CA_LOCATION": "/ca.pem",
            "CCAAS__PLATFORMS__NICE__KIND": "nice-offset",
            "CCAAS__PLATFORMS__NICE__STREAM_URL": "wss://p.example.com/{channel}",
            "CCAAS__PLATFORMS__NICE__HEADERS__X_API_KEY": _SECRET,
            "CCAAS__PLATFORMS__NICE__AUTH__TOKEN_URL": "https://p.example.com/token",
            "CCAAS__PLATFORMS__NICE__AUTH__CLIENT_ID": "12345",
            "CCAAS__PLATFORMS__NICE__AUTH__CLIENT_SECRET": '{"not": "JSON to us"}',
            "CCAAS__PLATFORMS__NICE__AUTH__SCOPES": '["a", "b"]',
            "CCAAS__STREAMS": '[{"name": "s", "platform": "nice", "topic": "t", "start": 7}]',
            "CCAAS__ROTATION__JITTER_SECONDS": "[0, 0.5]",
            "CCAAS__TOPICS__CREATE": "false",
            "CCAAS__REDIS__URL": "redis://r.example.com",
            "CCAAS__VERSION": "1",
        },
    )
    platform = settings.platforms["nice"]
    assert settings.lanes == 4
    assert settings.kafka.client_properties() == {"bootstrap.servers": "b:9092", "ssl.ca.location": "/ca.pem"}
    assert platform.revealed_headers() == {"x-api-key": _SECRET}
    assert (platform.auth.client_id, platform.auth.scopes) == ("12345", ["a", "b"])
    assert _client_secret(platform) == '{"not": "JSON to us"}'
    assert sequence(settings, "nice").position.parameter == "offset"
    assert settings.streams[0].start == 7
    assert settings.rotation.jitter_seconds == (0, 0.5)
    assert not settings.topics.create
    assert settings.redis is not None


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Mappings are joined; the rest of the file stays."""
    path = _file(tmp_path, changed("kafka/client", {"compression.type": "zstd", "ssl.ca.location": "/file.pem"}))
    settings = load(
        path,
        {
            "CCAAS__KAFKA__CLIENT__SSL_CA_LOCATION": "/environment.pem",
            "CCAAS__PLATFORMS__GENESYS__AUTH__CLIENT_SECRET": _OTHER,
        },
    )
    assert settings.kafka.client == {"compression.type": "zstd", "ssl.ca.location": "/environment.pem"}
    assert _client_secret(settings.platforms["genesys"]) == _OTHER
    assert settings.platforms["genesys"].auth.client_id == "id"


def test_environment_finds_the_files_spelling_of_names(tmp_path: Path) -> None:
    """Hyphens and capitals of a platform's name cannot stand in a variable's."""
    document = minimum()
    document["platforms"]["Genesys-EU"] = document["platforms"].pop("genesys")
    document["platforms"]["Genesys-EU"]["headers"] = {"X-API-Key": _SECRET}
    document["streams"][0]["platform"] = "Genesys-EU"
    environ = {
        "CCAAS__PLATFORMS__GENESYS_EU__AUTH__CLIENT_SECRET": _OTHER,
        "CCAAS__PLATFORMS__GENESYS_EU__HEADERS__X_API_KEY": _OTHER,
    }
    platform = load(_file(tmp_path, document), environ).platforms["Genesys-EU"]
    assert _client_secret(platform) == _OTHER
    assert platform.revealed_headers() == {"X-API-Key": _OTHER}


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("CCAAS__LANES", "many", "lanes: should be a valid integer"),
        ("CCAAS__STREAMS", "wfm", "streams: should be a valid list (from CCAAS__STREAMS; lists and mappings are JSON"),
        ("CCAAS__KAFKA", "b:9092", "kafka: should be a mapping (from CCAAS__KAFKA; lists and mappings are JSON"),
        (
            "CCAAS__KAFKA__BOOTSTRAP_SERVER",
            "b:9092",
            "kafka.bootstrap_server: unknown key; did you mean bootstrap_serv",
        ),
        ("CCAAS__KAFAK__X", "1", "CCAAS__KAFAK__X: no such setting"),
        ("CCAAS__GROUP__", "1", "CCAAS__GROUP__: no such setting"),
        ("CCAAS__", "1", "CCAAS__: no such setting"),
    ],
)
def test_fault_of_the_environment_names_the_variable(tmp_path: Path, variable: str, value: str, fault: str) -> None:
    """A user must find what to mend; unknown variables with our prefix are typing errors."""
    message = _message(_file(tmp_path, minimum()), {variable: value})
    assert fault in message
    assert variable in message


# ---------------------------------------------------------------------- secrets


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """Everywhere a secret may stand; stripped."""
    secret = tmp_path / "secret"
    secret.write_text(f"  {_SECRET}\n", encoding="utf-8")
    url = tmp_path / "url"
    url.write_text("rediss://me:it@r.example.com\n", encoding="utf-8")
    key = tmp_path / "key"
    key.write_text(f"{base64.b64encode(bytes(32)).decode()}\n", encoding="utf-8")
    document = minimum()
    document["kafka"]["client"] = {"sasl.password_file": str(secret), "sasl.username": "me"}
    document["redis"] = {"url_file": str(url), "encryption_key_file": str(key)}
    platform = document["platforms"]["genesys"]
    platform["headers"] = {"X-Key_file": str(secret)}
    del platform["auth"]["client_secret"]
    platform["auth"]["client_secret_file"] = str(secret)
    settings = load(_file(tmp_path, document), {})
    assert _client_secret(settings.platforms["genesys"]) == _SECRET
    assert settings.platforms["genesys"].revealed_headers() == {"X-Key": _SECRET}
    assert settings.kafka.client_properties()["sasl.password"] == _SECRET
    assert settings.redis is not None
    assert settings.redis.url.get_secret_value() == "rediss://me:it@r.example.com"
    assert settings.redis.encryption_key is not None
    assert _SECRET not in repr(settings)


def test_secret_and_its_file_in_one_place_is_a_fault(tmp_path: Path) -> None:
    """It would not be clear which one is meant."""
    path = tmp_path / "s"
    path.write_text("x", encoding="utf-8")
    document = changed("platforms/genesys/auth/client_secret_file", str(path))
    assert "auth.client_secret_file: given together with client_secret" in _message(_file(tmp_path, document), {})
    document = changed("kafka/client", {"sasl.password": _SECRET, "sasl.password_file": str(path)})
    assert "client.sasl.password_file: given together with sasl.password" in _message(_file(tmp_path, document), {})


def test_environment_displaces_the_files_secret_in_either_form(tmp_path: Path) -> None:
    """A secret of the environment beats a secret file of the configuration, and the other way round."""
    path = tmp_path / "s"
    path.write_text(_OTHER, encoding="utf-8")
    prefix = "CCAAS__PLATFORMS__GENESYS__AUTH__CLIENT_SECRET"
    by_file = load(_file(tmp_path, minimum()), {f"{prefix}_FILE": str(path)})
    assert _client_secret(by_file.platforms["genesys"]) == _OTHER
    document = minimum()
    del document["platforms"]["genesys"]["auth"]["client_secret"]
    document["platforms"]["genesys"]["auth"]["client_secret_file"] = "/nowhere"
    by_value = load(_file(tmp_path, document), {prefix: _SECRET})
    assert _client_secret(by_value.platforms["genesys"]) == _SECRET


def test_secret_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Its path is told; but not what is no path, since it may be the secret itself."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xff")
    for value, told in (
        ("/nowhere/it", "client_secret_file: cannot be read: No such file or directory (/nowhere/it)"),
        (str(binary), f"client_secret_file: cannot be read: not a text file ({binary})"),
        (_SECRET, "client_secret_file: cannot be read: No such file or directory"),
    ):
        document = minimum()
        del document["platforms"]["genesys"]["auth"]["client_secret"]
        document["platforms"]["genesys"]["auth"]["client_secret_file"] = value
        message = _message(_file(tmp_path, document), {})
        assert told in message
        assert "1 fault" in message


def test_nothing_shows_a_secret() -> None:
    """Neither ``repr`` nor ``str``, wherever a secret may stand."""
    document = minimum()
    document["kafka"]["client"] = {"sasl.password": _SECRET, "ssl.key.pem": _SECRET, "ssl.key.password": _SECRET}
    document["redis"] = {"url": f"redis://:{_SECRET}@r.example.com"}
    document["platforms"]["genesys"]["headers"] = {"X-Key": _SECRET}
    settings = Settings(**document)
    assert _SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.kafka.client_properties()["ssl.key.pem"] == _SECRET


def test_client_properties_are_as_librdkafka_wants_them() -> None:
    """Booleans are words there, numbers stay numbers."""
    settings = Settings(
        **changed("kafka/client", {"enable.ssl.certificate.verification": True, "socket.timeout.ms": 900})
    )
    assert settings.kafka.client_properties() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "enable.ssl.certificate.verification": "true",
        "socket.timeout.ms": 900,
    }
