"""mora sandbox: up, status, scale and down, as a user runs them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mora import sandbox
from tests.running import mora, start


@pytest.fixture
def home(tmp_path: Path) -> Mapping[str, str]:
    return {"MORA_SANDBOX_HOME": str(tmp_path / "sandboxes")}


def test_replicas_without_a_number_are_an_error_with_the_right_form(home: Mapping[str, str], tmp_path: Path) -> None:
    done = mora("sandbox", "scale", "frontend", cwd=tmp_path, **home)
    assert done.returncode == 1
    assert "'frontend' has no number of replicas." in done.stderr
    assert "Write SERVICE=REPLICAS, like frontend=3." in done.stderr


def test_without_a_running_sandbox_the_status_is_an_error_with_what_to_do(
    home: Mapping[str, str], tmp_path: Path
) -> None:
    done = mora("sandbox", "status", cwd=tmp_path, **home)
    assert done.returncode == 1
    assert "No sandbox named 'default' is running." in done.stderr
    assert "mora sandbox up" in done.stderr


@pytest.fixture
def foreground(home: Mapping[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    running = start("sandbox", "up", "--foreground", "--name", "front", cwd=tmp_path, **home)
    yield running
    running.kill()
    running.communicate()


@pytest.mark.slow
def test_a_sandbox_in_the_foreground_prints_its_addresses_is_scaled_and_ends_with_ctrl_c(
    foreground: subprocess.Popen[str], home: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert foreground.stdout is not None
    lines = [foreground.stdout.readline() for _ in range(11)]
    assert lines[0].startswith("sandbox     front (supervisor: process ")
    assert lines[1].startswith("shop        http://127.0.0.1:")
    assert lines[5].split() == [
        "SERVICE",
        "READY",
        "RESTARTS",
        "OOM",
        "CPU",
        "REQUEST/LIMIT",
        "MEMORY",
        "REQUEST/LIMIT",
    ]
    assert lines[8].split()[:4] == ["frontend", "1/1", "0", "0"]
    named = ("--name", "front")
    scaled = mora("sandbox", "scale", "frontend=2", *named, cwd=tmp_path, **home)
    assert ["frontend", "2/2"] in [line.split()[:2] for line in scaled.stdout.splitlines()]
    status = json.loads(mora("sandbox", "status", "--json", *named, cwd=tmp_path, **home).stdout)
    assert status["services"]["frontend"]["replicas"] == 2
    monkeypatch.setenv("MORA_SANDBOX_HOME", home["MORA_SANDBOX_HOME"])
    sandbox.connect("front").inject("stuck", "paymentservice", seconds=3600, strength=1)
    shown = mora("sandbox", "status", *named, cwd=tmp_path, **home).stdout
    assert re.search(r"^fault       stuck at paymentservice, (1h|59m\d+s) left$", shown, re.MULTILINE)
    foreground.send_signal(signal.SIGINT)
    assert foreground.wait(120) == 0
    assert mora("sandbox", "status", *named, cwd=tmp_path, **home).returncode == 1
