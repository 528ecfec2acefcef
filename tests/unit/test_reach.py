"""Proxies and TLS files of a platform."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
from pathlib import Path

import pytest
import trustme

from connector.settings.reach import environment_proxy
from connector.tls import ClientTls, TlsFiles


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies but the test's."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_streams_take_the_proxies_of_https_and_http(environment: pytest.MonkeyPatch) -> None:
    """A WebSocket is HTTP at first; nobody sets WSS_PROXY."""
    environment.setenv("HTTPS_PROXY", "http://secure:3128")
    environment.setenv("HTTP_PROXY", "http://plain:3128")
    environment.setenv("NO_PROXY", "inside.example,127.0.0.1")
    urls = ["wss://x.example/s", "https://x.example/t", "ws://x.example/s", "http://x.example/t"]
    found = [environment_proxy(url) for url in urls]
    assert found == ["http://secure:3128"] * 2 + ["http://plain:3128"] * 2
    assert environment_proxy("wss://a.inside.example/s") is None
    assert environment_proxy("https://127.0.0.1:8443/token") is None


def test_without_an_environment_there_is_no_proxy(environment: pytest.MonkeyPatch) -> None:
    """The address is dialled."""
    environment.setenv("UNRELATED", "1")
    assert environment_proxy("wss://x.example/s") is None


def _trusts(tls: ClientTls, authority: trustme.CA) -> bool:
    """Whether a new connection to a server whose certificate the authority has issued comes about."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("platform.example").configure_cert(serving)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context.wrap_bio(down, up, server_hostname="platform.example")
    server = serving.wrap_bio(up, down, server_side=True)
    try:
        for end in (client, server, client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLError:
        return False
    return client.version() is not None


def test_renewed_files_are_loaded_and_bad_ones_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next connection trusts the new authority and not the former; a file that cannot be used changes nothing."""
    caplog.set_level(logging.INFO, "connector.tls")
    first, second, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    first.cert_pem.write_to_path(file)
    tls = ClientTls(TlsFiles(ca=file))
    tls.refresh()
    assert caplog.messages == []
    assert (_trusts(tls, first), _trusts(tls, second)) == (True, False)
    second.cert_pem.write_to_path(tmp_path / "new.pem")
    (tmp_path / "new.pem").replace(file)
    tls.refresh()
    assert (_trusts(tls, first), _trusts(tls, second)) == (False, True)
    file.write_text("half a certif")
    os.utime(file, (1, 1))
    tls.refresh()
    file.unlink()
    tls.refresh()
    assert (_trusts(tls, first), _trusts(tls, second)) == (False, True)
    assert caplog.messages[0] == "TLS files were renewed"
    assert ["not a usable PEM file" in caplog.messages[1], "No such file" in caplog.messages[2]] == [True, True]


def test_encrypted_key_is_an_error_not_a_question(tmp_path: Path) -> None:
    """OpenSSL would ask the terminal for the pass phrase, and the worker would stand still."""
    from cryptography.hazmat.primitives import serialization as s  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    leaf = trustme.CA().issue_cert("client")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    (tmp_path / "key.pem").write_bytes(encrypted)
    with pytest.raises(OSError, match=r"SSL|PEM"):
        ClientTls(TlsFiles(certificate=tmp_path / "client.pem", key=tmp_path / "key.pem"))
