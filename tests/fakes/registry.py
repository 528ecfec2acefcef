"""A schema registry over HTTP, with as much of Confluent's API as a producer and a consumer ask for."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class FakeRegistry:
    """What it knows, and how it behaves."""

    def __init__(self) -> None:
        self.url = ""
        self.subjects: dict[str, list[int]] = {}
        self.schemas: list[tuple[str, str]] = []
        """Type and text; ids count from 1."""
        self.away = False
        self.compatible = True
        self.credentials: tuple[str, str] | None = None
        self.asked: list[str] = []
        """Method and path of every request."""

    def put(self, subject: str, schema: str, kind: str = "AVRO") -> int:
        """Register; returns the id."""
        if (kind, schema) not in self.schemas:
            self.schemas.append((kind, schema))
        number = self.schemas.index((kind, schema)) + 1
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and document."""
        if self.away:
            return 503, {"error_code": 50003, "message": "away"}
        kind, schema = body.get("schemaType", "AVRO"), body.get("schema", "")
        found: tuple[int, Any] = 404, {"error_code": 40401, "message": "not found"}
        match method, [unquote(part) for part in path.strip("/").split("/")]:
            case "POST", ["subjects", subject, "versions"]:
                refusal = {"error_code": 409, "message": "incompatible with an earlier schema"}
                found = (200, {"id": self.put(subject, schema, kind)}) if self.compatible else (409, refusal)
            case "POST", ["subjects", subject]:
                for version, number in enumerate(self.subjects.get(subject, []), 1):
                    if self.schemas[number - 1] == (kind, schema):
                        found = 200, self._version(subject, version)
            case "GET", ["subjects", subject, "versions", "latest"] if subject in self.subjects:
                found = 200, self._version(subject, len(self.subjects[subject]))
            case "POST", ["compatibility", "subjects", subject, "versions", _] if subject in self.subjects:
                found = 200, {"is_compatible": self.compatible}
            case "GET", ["schemas", "ids", number] if int(number) <= len(self.schemas):
                kind, schema = self.schemas[int(number) - 1]
                found = 200, {"schema": schema, "schemaType": kind}
        return found

    def _version(self, subject: str, version: int) -> dict[str, Any]:
        number = self.subjects[subject][version - 1]
        kind, schema = self.schemas[number - 1]
        return {"subject": subject, "version": version, "id": number, "schema": schema, "schemaType": kind}

    def lets_in(self, authorization: str | None) -> bool:
        """Whether Basic credentials are those that it wants."""
        if self.credentials is None:
            return True
        wanted = base64.b64encode(":".join(self.credentials).encode()).decode()
        return authorization == f"Basic {wanted}"


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """One that listens on loopback."""
    registry = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            """Answer."""
            self._answer("GET")

        def do_POST(self) -> None:  # http.server's name
            """Answer."""
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            registry.asked.append(f"{method} {path}")
            status, document = 401, {"error_code": 401, "message": "Unauthorized"}
            if registry.lets_in(self.headers.get("Authorization")):
                status, document = registry.answer(method, path, json.loads(body or b"{}"))
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's signature
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
