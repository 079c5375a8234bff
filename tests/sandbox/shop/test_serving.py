"""A replica as a process: readiness, health, draining, and what it imports."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.sandbox.launch import package_root, python_command


def test_a_replica_imports_only_the_standard_library() -> None:
    """Replicas have to start fast and stay small: no pandas, no prometheus_client, not even the domain."""
    program = (
        "import sys, mora.sandbox.shop.serving\n"
        "from importlib import import_module\n"
        "for name in ('frontend', 'productcatalogservice', 'cartservice', 'checkoutservice', 'paymentservice'):\n"
        "    import_module(f'mora.sandbox.shop.{name}')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('mora')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program], cwd=package_root(), capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "mora.sandbox.shop.frontend" in loaded
    assert [name for name in loaded if not name.startswith("mora.sandbox.shop") and name.count(".") > 1] == []


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A payment service without the rest of the shop."""
    (tmp_path / "endpoints.json").write_text("{}")
    command = [*python_command("mora.sandbox.shop"), "paymentservice"]
    command += ["--endpoints", str(tmp_path / "endpoints.json"), "--traffic", str(tmp_path / "traffic")]
    command += ["--calls", str(tmp_path / "calls"), "--faults", str(tmp_path / "faults.json")]
    command += ["--volume", str(tmp_path / "volume")]
    with subprocess.Popen(command, cwd=package_root(), stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_replica_writes_its_port_answers_and_ends_on_sigterm(replica: subprocess.Popen[bytes]) -> None:
    assert replica.stdout is not None
    connection = http.client.HTTPConnection("127.0.0.1", int(replica.stdout.readline()), timeout=60)
    connection.request("GET", "/_healthz")
    assert json.loads(connection.getresponse().read()) == "ok"
    card = {"number": "4432-8015-6152-0454", "month": 1, "year": 2039, "cvv": "672", "amount_cents": 100}
    connection.request("POST", "/charge", json.dumps(card))
    assert json.loads(connection.getresponse().read())["last_digits"] == "0454"
    connection.request("POST", "/charge", json.dumps(card | {"year": 2020}))
    refused = connection.getresponse()
    assert (refused.status, json.loads(refused.read())) == (422, {"error": "this card has expired"})
    connection.close()
    replica.send_signal(signal.SIGTERM)
    assert replica.wait(60) == 0
