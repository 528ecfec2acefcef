"""nginx as operators put it in front of a platform: TLS, idle time-outs, reloads. A child process of the tests."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.maven_broker import free_ports
from tests.support.processes import Child, listening

_START_S = 10.0
_HELP = "This test needs nginx. Install it (apt-get install nginx-light) or put it on the PATH."
_CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_processes 1;
worker_shutdown_timeout 1s;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port}{tls};
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout {idle_s}s;
      proxy_send_timeout {idle_s}s;
    }}
  }}
}}
"""


class Nginx:
    """One nginx in front of :attr:`upstream`, a port of loopback on which the platform is to listen.

    ``certificate``: PEM file of a key and its chain, with which it speaks TLS; ``client_ca``: whom clients must show a
    certificate of. ``idle_s``: a connection without a byte from the platform for so long is ended.
    """

    def __init__(
        self, directory: Path, *, idle_s: int = 60, certificate: Path | None = None, client_ca: Path | None = None
    ) -> None:
        self._directory = directory
        self._program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        self._child: Child | None = None
        self.port, self.upstream = free_ports(2)
        self.url = f"{'http' if certificate is None else 'https'}://localhost:{self.port}"
        tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
        if client_ca is not None:
            tls += f"; ssl_client_certificate {client_ca}; ssl_verify_client on"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "nginx.conf").write_text(
            _CONFIGURATION.format(directory=directory, port=self.port, tls=tls, upstream=self.upstream, idle_s=idle_s)
        )

    def __enter__(self) -> Self:
        if self._program is None:
            pytest.fail(_HELP, pytrace=False)
        options = ["-p", str(self._directory), "-c", str(self._directory / "nginx.conf")]
        self._child = child = Child([self._program, "-e", str(self._directory / "error.log"), *options], self._log)
        deadline = time.monotonic() + _START_S
        while not listening(self.port):
            if child.exit_code() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx does not start: {child.log_tail()}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.kill()

    def reload(self) -> None:
        """SIGHUP, as ``nginx -s reload``: new workers and files; the old workers' connections end within a second."""
        os.kill(int((self._directory / "nginx.pid").read_text()), signal.SIGHUP)

    @property
    def _log(self) -> Path:
        return self._directory / "output.log"
