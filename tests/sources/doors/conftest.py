"""A Prometheus on loopback that refuses who has no credentials, and servers that give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.running import answering

GOOD = b'{"status":"success","data":{"version":"3.1.0"}}'


class Guarded(ThreadingHTTPServer):
    """Answers 200 to whom `admits` lets in, else `refusal`; keeps (method, path, headers, body) of each request."""

    daemon_threads = True

    def __init__(self, admits: Callable[[str, str, dict[str, str], bytes], bool]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.admits = admits
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.body = GOOD
        self.refusal = 401

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Guarded

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        request = (self.command, self.path, dict(self.headers), body)
        self.server.asked.append(request)
        is_admitted = self.server.admits(*request)
        answer = self.server.body if is_admitted else b'{"status":"error","error":"no"}'
        self.send_response(200 if is_admitted else self.server.refusal)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def guarded(admits: Callable[[str, str, dict[str, str], bytes], bool]) -> Iterator[Guarded]:
    server = Guarded(admits)
    with answering(server):
        yield server


@contextmanager
def giving_tokens(**more: Any) -> Iterator[Guarded]:
    """An HTTP server that gives a new token for each request: token-1, token-2, ..."""

    def admits(*_: object) -> bool:
        server.body = json.dumps(
            {"access_token": f"token-{len(server.asked)}", "token_type": "Bearer", **more}
        ).encode()
        return True

    with guarded(admits) as server:
        yield server


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """None of whoever runs the tests."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_DEFAULT_REGION", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
