"""The Prometheus of a sandbox: a real one, on a free port, with its data in the folder of the sandbox."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from mora.errors import ClusterError
from mora.sandbox.launch import command, package_root
from mora.tools import find_tool

SCRAPE_SECONDS = 1
# Paths as in kube-prometheus-stack.
CADVISOR_PATH = "/metrics/cadvisor"
KUBE_STATE_PATH = "/metrics/kube-state-metrics"
# As Istio's proxies.
MESH_PATH = "/stats/prometheus"
NODE_PATH = "/metrics/node"
_START_ATTEMPTS = 5
_START_SECONDS = 20.0
# Requests to loopback never go through a proxy of the environment.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PrometheusServer:
    """A Prometheus that scrapes the exporter on `exporter_port` every second."""

    def __init__(self, folder: Path, exporter_port: int, node: str) -> None:
        self._program = find_tool("prometheus")
        self._folder = folder
        self.data_folder = folder / "data"
        self._config = folder / "prometheus.yml"
        folder.mkdir()
        self._config.write_text(yaml.safe_dump(_configuration(exporter_port, node), sort_keys=False))
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> int:
        """Start it on a free port and wait until it answers (tens of milliseconds); its process id.

        Another program may take the port before Prometheus does: then another port is tried.
        """
        for _ in range(_START_ATTEMPTS):
            self.port = self.port or free_port()
            self.process = self._launch()
            if self._becomes_ready(self.process):
                return self.process.pid
            self.stop()
            self.port = 0
        raise ClusterError(
            f"Prometheus did not start in {_START_ATTEMPTS} attempts.", hint=f"The end of its log:\n{self.log_tail()}"
        )

    @property
    def is_running(self) -> bool:
        """Whether its process is alive."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Kill it and wait until it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log_tail(self) -> str:
        """The last lines of its log."""
        log = self._folder / "prometheus.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else "(empty)"

    def _launch(self) -> subprocess.Popen[bytes]:
        program = [
            str(self._program),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.data_folder}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        with (self._folder / "prometheus.log").open("ab") as log:
            return subprocess.Popen(
                command(program, nice=0), cwd=package_root(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self.is_ours():
                return True
            time.sleep(0.05)
        return False

    def is_ours(self) -> bool:
        """Whether the server on the port is this one: it has its data in our folder."""
        flags = self._get("/api/v1/status/flags")
        return flags is not None and flags["data"].get("storage.tsdb.path") == str(self.data_folder)

    def has_seen(self, containers: int) -> bool:
        """Whether the latest scrapes have that many containers.

        The first scrape is 5 s after the start: Prometheus waits that long before it uses targets, even static ones.
        """
        query = 'count(kube_pod_container_info and on(namespace, pod) container_cpu_usage_seconds_total{container!=""})'
        answer = self._get(f"/api/v1/query?query={quote(query)}")
        return answer is not None and [r["value"][1] for r in answer["data"]["result"]] == [str(containers)]

    def _get(self, path: str) -> Any:
        try:
            with _DIRECT.open(self.url + path, timeout=2) as response:
                return json.load(response)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None


def _configuration(exporter_port: int, node: str) -> dict[str, object]:
    target = f"127.0.0.1:{exporter_port}"

    def job(name: str, path: str, labels: dict[str, str]) -> dict[str, object]:
        return {
            "job_name": name,
            "metrics_path": path,
            "honor_labels": True,
            "static_configs": [{"targets": [target], "labels": labels}],
        }

    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            job("kubelet", CADVISOR_PATH, {"metrics_path": CADVISOR_PATH, "node": node}),
            job("kube-state-metrics", KUBE_STATE_PATH, {}),
            job("envoy-stats", MESH_PATH, {}),
            job("node-exporter", NODE_PATH, {}),
        ],
    }


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
