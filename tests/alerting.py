"""A real Alertmanager on loopback, and a webhook that keeps what it is sent."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mora.errors import ToolMissing
from mora.tools import find_tool
from tests.running import until


def tool(name: str) -> Path:
    """amtool or prometheus-alertmanager; without it a test says so, and fails where REQUIRE_ALL_TOOLS is set."""
    try:
        return find_tool(name)
    except ToolMissing as missing:
        if os.environ.get("REQUIRE_ALL_TOOLS"):
            raise
        pytest.skip(str(missing))


class Webhook:
    """What was posted, alert by alert. url: where to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.alerts: list[dict[str, Any]] = []

    def firing(self, alert: str, **labels: str) -> list[dict[str, Any]]:
        """The firing alerts of a name and labels so far."""
        wanted = {"alertname": alert, **labels}
        return [one for one in self.alerts if one["status"] == "firing" and wanted.items() <= one["labels"].items()]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server on loopback that takes what Alertmanager posts."""

    class Posted(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.alerts += json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Posted) as server:
        found = Webhook(f"http://127.0.0.1:{server.server_address[1]}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def alertmanager(folder: Path, to: Webhook) -> Iterator[str]:
    """The address (host:port) of an Alertmanager that posts every alert at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    route = {"receiver": "webhook", "group_by": ["alertname", "namespace", "service"], "group_wait": "0s"}
    config = {"route": route, "receivers": [{"name": "webhook", "webhook_configs": [{"url": to.url}]}]}
    (folder / "alertmanager.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [str(tool("prometheus-alertmanager")), f"--config.file={folder / 'alertmanager.yml'}"]
    command += [f"--storage.path={folder / 'alerts'}", f"--web.listen-address={address}", "--cluster.listen-address="]
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _is_ready(address), "an Alertmanager")
        assert process.poll() is None, (folder / "alertmanager.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:  # loopback
            return bool(answer.status == 200)
    except OSError:
        return False
