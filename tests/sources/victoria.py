"""A real VictoriaMetrics on loopback with a fleet of the rig."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from mora.tools import find_tool
from tests.fleet.rig import Fleet


@contextmanager
def serving(folder: Path, fleet: Fleet, *flags: str) -> Iterator[str]:
    """The address of a VictoriaMetrics into which the fleet was imported. flags: further ones of the server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(find_tool("victoria-metrics")),
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-memory.allowedBytes=200MB",
        "-loggerLevel=ERROR",
        *flags,
    ]
    log = (folder / "victoria.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ours(url, process, folder)
        with requests.Session() as session:
            answer = session.post(f"{url}/api/v1/import", data=_lines(fleet), timeout=60)
            answer.raise_for_status()
            # What was imported is shown a little later otherwise.
            session.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _lines(fleet: Fleet) -> Iterator[bytes]:
    """One JSON line a series and stretch, as /api/v1/import takes them."""
    for group in fleet.groups():
        times = [round((group.start + number * group.step) * 1000) for number in range(group.count)]
        for labels, values in zip(group.labels, group.values, strict=True):
            every = [float(values)] * group.count if group.samples is not None else values.tolist()
            yield json.dumps({"metric": dict(labels), "values": every, "timestamps": times}).encode() + b"\n"


def _wait_until_ours(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError((folder / "victoria.log").read_text(encoding="utf-8"))
        try:
            metrics = requests.get(f"{url}/metrics", timeout=2).text
        except requests.RequestException:
            time.sleep(0.02)
            continue
        assert str(folder) in metrics, "another one answers at this port"
        return
    raise AssertionError("VictoriaMetrics did not get ready within 30 s")
