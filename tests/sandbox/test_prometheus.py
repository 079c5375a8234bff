"""The Prometheus of a sandbox: a real one that scrapes a page of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.sandbox.control import ControlServer
from mora.sandbox.prometheus import CADVISOR_PATH, KUBE_STATE_PATH, NODE_PATH, PrometheusServer, free_port
from tests.running import until

pytestmark = pytest.mark.slow

CONTAINER = 'namespace="default",pod="frontend-1",container="server"'
PAGES = {
    CADVISOR_PATH: lambda: f"container_cpu_usage_seconds_total{{{CONTAINER}}} 1\n".encode(),
    KUBE_STATE_PATH: lambda: f"kube_pod_container_info{{{CONTAINER}}} 1\n".encode(),
    NODE_PATH: lambda: b"node_memory_MemTotal_bytes 1\n",
}


@pytest.fixture
def exporter() -> Iterator[ControlServer]:
    server = ControlServer("secret", {}, PAGES)
    yield server
    server.close()


@pytest.fixture
def prometheus(tmp_path: Path, exporter: ControlServer) -> Iterator[PrometheusServer]:
    server = PrometheusServer(tmp_path / "prometheus", exporter.port, "node-1")
    yield server
    server.stop()


def test_it_starts_scrapes_every_container_and_stops(prometheus: PrometheusServer) -> None:
    running = [prometheus.is_running]
    pid = prometheus.start()
    running.append(prometheus.is_running)
    assert prometheus.is_ours()
    assert prometheus.process is not None
    assert prometheus.process.pid == pid
    until(lambda: prometheus.has_seen(1), "the first scrape")
    assert not prometheus.has_seen(2)
    prometheus.stop()
    running.append(prometheus.is_running)
    assert running == [False, True, False]
    assert not prometheus.has_seen(1)


def test_another_server_on_its_port_is_not_taken_for_it(
    prometheus: PrometheusServer, exporter: ControlServer, tmp_path: Path
) -> None:
    prometheus.start()
    other = PrometheusServer(tmp_path / "other", exporter.port, "node-1")
    other.port = prometheus.port
    assert not other.is_ours()
    other.start()
    assert other.port != prometheus.port
    other.stop()


def test_a_free_port_can_be_used() -> None:
    assert 1024 <= free_port() <= 65535
