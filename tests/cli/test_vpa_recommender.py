"""mora vpa-recommender as a process: a real Prometheus with days of history, a strict API server, VPA objects."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.vpa.objects import amount_of
from tests.running import command, mora
from tests.vpa.conftest import Fleet, environment
from tests.vpa.fake_vpa import FakeVpaApi
from tests.vpa.making import manifest


def run(cluster: FakeVpaApi, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return mora("vpa-recommender", *arguments, cwd=folder, **environment(cluster, folder))


def amounts(status: dict[str, Any], bound: str, resource: str) -> int:
    (container,) = status["recommendation"]["containerRecommendations"]
    return amount_of(resource, container[bound][resource])


def test_one_pass_writes_what_the_history_of_each_target_needs(
    fleet: Fleet, cluster: FakeVpaApi, tmp_path: Path
) -> None:
    for name in fleet.truths:
        cluster.add(manifest(name, namespace="team-000"))
    cluster.add(manifest("nobody", namespace="team-000"))
    told = run(cluster, tmp_path, "--once", "--prometheus", fleet.url, "--history", "3d")
    assert told.returncode == 0, told.stderr
    for name, truth in fleet.truths.items():
        status = cluster.status(name, "team-000")
        cpu, memory = (amounts(status, "target", resource) for resource in ("cpu", "memory"))
        # The template asks for 4 cores and 8 GiB; the whole cut is told at once, and covers what was used. What is
        # of CPU at most a tenth of the samples may lie above, which is below the p95, by the hour of the day.
        assert truth.cpu_p95_cores * 750 <= cpu < 3 * truth.cpu_p95_cores * 1000 + 10
        assert truth.mem_peak_bytes <= memory < 2 * truth.mem_peak_bytes
        assert amounts(status, "lowerBound", "memory") == pytest.approx(truth.mem_peak_bytes, rel=0.01)
        for resource in ("cpu", "memory"):
            lower, target, upper = (amounts(status, b, resource) for b in ("lowerBound", "target", "upperBound"))
            assert lower <= target <= upper
    gone = {one["type"]: one["status"] for one in cluster.status("nobody", "team-000")["conditions"]}
    assert gone == {"NoPodsMatched": "True", "RecommendationProvided": "False"}


def test_a_dry_run_prints_the_statuses_and_writes_nothing(fleet: Fleet, cluster: FakeVpaApi, tmp_path: Path) -> None:
    name = next(iter(fleet.truths))
    cluster.add(manifest(name, namespace="team-000"))
    told = run(cluster, tmp_path, "--dry-run", "--prometheus", fleet.url, "--history", "3d", "-n", "team-000")
    assert told.returncode == 0, told.stderr
    (document,) = yaml.safe_load_all(told.stdout)
    assert (document["kind"], document["metadata"]["name"]) == ("VerticalPodAutoscaler", name)
    assert amounts(document["status"], "target", "cpu") > 0
    assert (cluster.patches(), cluster.leases) == ([], {})


def test_it_leads_serves_and_ends_on_a_signal(fleet: Fleet, cluster: FakeVpaApi, tmp_path: Path) -> None:
    name = next(iter(fleet.truths))
    cluster.add(manifest(name, namespace="team-000"))
    history = ("--prometheus", fleet.url, "--history", "3d")
    asked = command("vpa-recommender", *history, "--listen", "127.0.0.1:0", "--lease-namespace", "mora")
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(asked, cwd=tmp_path, env=environment(cluster, tmp_path), stderr=stderr)
    try:
        deadline = time.monotonic() + 120
        while "pass ended" not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        assert re.search(r'level=info msg="pass ended" .*written=1', log.read_text(encoding="utf-8"))
        assert cluster.holder(namespace="mora")
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert cluster.holder(namespace="mora") == ""
    assert all(line.startswith("time=") for line in log.read_text(encoding="utf-8").splitlines())


class Tiring(ThreadingHTTPServer):
    """Passes on what a Prometheus answers, until it is asked for ranges: then it says nothing any more."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.url = url
        self.is_silent, self.is_over = threading.Event(), threading.Event()


class _Passing(BaseHTTPRequestHandler):
    server: Tiring

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        if "query_range" in self.path:
            self.server.is_silent.set()
            self.server.is_over.wait()
            return
        kind = {"Content-Type": self.headers["Content-Type"]} if body else {}
        asked = urllib.request.Request(self.server.url + self.path, body, kind)  # noqa: S310  # loopback
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  # loopback
            text = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _pass  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_signal_ends_it_while_a_prometheus_is_silent(fleet: Fleet, cluster: FakeVpaApi, tmp_path: Path) -> None:
    for name in fleet.truths:
        cluster.add(manifest(name, namespace="team-000"))
    tiring = Tiring(fleet.url)
    threading.Thread(target=tiring.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{tiring.server_port}"
    asked = command(
        "vpa-recommender",
        "--prometheus",
        url,
        "--history",
        "3d",
        "--listen",
        "127.0.0.1:0",
        "--lease-namespace",
        "mora",
    )
    # Its questions would wait ten minutes for an answer.
    patient = environment(cluster, tmp_path, MORA_PROMETHEUS_TIMEOUT="10m")
    process = subprocess.Popen(asked, cwd=tmp_path, env=patient, stderr=subprocess.PIPE)
    try:
        assert tiring.is_silent.wait(120)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
        tiring.is_over.set()
        tiring.shutdown()
        tiring.server_close()
    assert (process.returncode, cluster.holder(namespace="mora")) == (0, ""), told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--once",), "No Service of this cluster looks like a Prometheus"),
        (("--once", "--prometheus", "http://127.0.0.1:9"), "No VPA object names the recommender 'mora'"),
        (("--listen", "8942", "--prometheus", "http://127.0.0.1:9"), "'8942' is not an address to listen on"),
        (("--interval", "1", "--prometheus", "http://127.0.0.1:9"), "'1' is not a span of time"),
        (("--interval", "10ms", "--prometheus", "http://127.0.0.1:9"), "Give at least 1s"),
        (("--lease-duration", "500ms", "--prometheus", "http://127.0.0.1:9"), "A lease must last at least 1s"),
        (("--recommender-name", "Mora!", "--prometheus", "http://127.0.0.1:9"), "not a valid recommender's name"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_reason(
    cluster: FakeVpaApi, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    told = run(cluster, tmp_path, *arguments)
    assert told.returncode == 1
    assert words in told.stderr
    assert "Traceback" not in told.stderr
    assert cluster.patches() == []


def test_a_prometheus_that_is_away_fails_a_single_pass_and_leaves_the_status(
    cluster: FakeVpaApi, tmp_path: Path
) -> None:
    cluster.add(manifest("service-0000", namespace="team-000"))
    told = run(cluster, tmp_path, "--once", "--prometheus", "http://127.0.0.1:9")
    assert told.returncode == 1
    assert "The pass over 1 VPA object failed: there are no recommendations for any namespace." in told.stderr
    assert 'msg="no recommendations for a namespace"' in told.stderr
    assert cluster.patches() == []
