"""mora serve as a user starts it: a process, a real Prometheus with days of history, requests over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mora.record.reading import reading
from tests.fleet.many import Truth, write_fleet
from tests.running import clean_environment, command, mora, until
from tests.sources.rig import serve as serve_prometheus

QUICK = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Truth]]:
    """A folder with two days of three workloads, for a Prometheus that can be stopped."""
    folder = tmp_path_factory.mktemp("history")
    start = datetime.now(UTC).timestamp() - 2 * 86_400
    return folder / "tsdb", write_fleet(3, start, 2.0, folder / "tsdb", seed=5)


class Server:
    """A running mora serve."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.log() or self.process.poll() is not None, f"{text} in the log")
        assert text in self.log(), self.log()

    @property
    def url(self) -> str:
        self.wait_for("msg=started")
        return self.log().partition("url=")[2].split()[0].rstrip("/")

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=120) as answer:  # noqa: S310  # loopback
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def json(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)


@contextmanager
def started(folder: Path, prometheus: str, *arguments: str) -> Iterator[Server]:
    words = ("--prometheus", prometheus, "--history", "2d", "--no-kubernetes", "--listen", "127.0.0.1:0")
    log = folder / f"log-{len(list(folder.glob('log-*')))}"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command("serve", *words, *arguments), cwd=folder, env={**clean_environment(), **QUICK}, stderr=stderr
        )
    try:
        yield Server(process, log)
    finally:
        process.kill()
        process.wait()


def test_it_serves_through_a_prometheus_that_goes_away_a_restart_and_a_signal(
    history: tuple[Path, list[Truth]], tmp_path: Path
) -> None:
    tsdb, truths = history
    with serve_prometheus(tsdb) as url:
        with started(tmp_path, url, "--refresh", "10s") as server:
            assert server.get("/healthz") == (200, b"ok\n")
            server.wait_for("msg=refreshed")
            recommended = server.json("/api/v1/recommendations")["recommendations"]
            assert {one["service"] for one in recommended} == {truth.name for truth in truths}
            truth = truths[0]
            metrics = server.get("/metrics")[1].decode()
            where = f'kind="Deployment",namespace="{truth.namespace}",workload="{truth.name}"'
            assert f'mora_recommended_cpu_cores{{cluster="",container="server",{where}}}' in metrics
            explained = server.json(f"/api/v1/explain?namespace={truth.namespace}&workload={truth.name}")
            assert "memory request" in explained["explanations"][0]["text"]
            assert truth.name.encode() in server.get("/")[1]
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(120) == 0
            assert 'msg="shut down" signal=SIGTERM' in server.log()
        # Killed while it computes; the record stays whole.
        with started(tmp_path, url, "--refresh", "10s") as server:
            server.wait_for("serving the last answer of the record")
            server.process.kill()
    with started(tmp_path, url, "--refresh", "10s") as server:
        server.wait_for('msg="refresh failed"')
        assert server.get("/readyz") == (200, b"ok\n")
        (state,) = server.json("/api/v1/status")["clusters"]
        assert state["workloads"] == 3
        assert state["age_seconds"] > 0
        assert "Prometheus" in state["problem"]["message"] or url in state["problem"]["message"]
        assert server.json("/api/v1/recommendations")["recommendations"] == recommended
        assert b"What is shown is the last good answer." in server.get("/")[1]
        assert server.get("/api/v1/trend?since=7d")[0] == 200


def test_a_prometheus_that_hangs_delays_neither_answers_nor_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(tmp_path, url) as server:
            assert server.get("/healthz")[0] == 200
            assert server.get("/readyz") == (503, b"the first refresh has not ended\n")
            assert b"The first refresh has not ended" in server.get("/")[1]
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(120) == 0


def test_one_refresh_is_recorded_for_a_nightly_job(history: tuple[Path, list[Truth]], tmp_path: Path) -> None:
    tsdb, _ = history
    with serve_prometheus(tsdb) as url:
        words = ("--prometheus", url, "--history", "2d", "--no-kubernetes", "--once", "--record", "night.sqlite")
        told = mora("serve", *words, cwd=tmp_path, **QUICK)
    assert told.returncode == 0, told.stderr
    assert "msg=refreshed workloads=3" in told.stderr
    with reading(tmp_path / "night.sqlite") as read:
        assert read.recommended_since(0.0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--listen", "8943"), "is not an address to listen on"),
        (("--refresh", "1s"), "--refresh 1s is too short"),
        (("--keep", "1h"), "--keep 1h is too short"),
        (("--refresh", "soon"), "is not a span of time"),
        (("--no-model", "--no-history"), "nothing is left to answer from"),
        (("--record", "."), "not a regular file"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    told = mora("serve", "--prometheus", "http://127.0.0.1:1", "--no-kubernetes", *flags, cwd=tmp_path)
    assert told.returncode == 1
    assert words in told.stderr


def test_a_port_in_use_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("--prometheus", "http://127.0.0.1:1", "--no-kubernetes")
        told = mora("serve", *words, "--listen", f"127.0.0.1:{taken.getsockname()[1]}", cwd=tmp_path)
    assert told.returncode == 1
    assert "Cannot listen on 127.0.0.1" in told.stderr
    assert "--listen" in told.stderr


def test_several_clusters_are_served_on_one_page_and_one_that_is_away_says_so(
    history: tuple[Path, list[Truth]], tmp_path: Path
) -> None:
    with socket.socket() as taken, serve_prometheus(history[0]) as url:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        (tmp_path / "mora.toml").write_text(
            f'[clusters.prod.prometheus]\nurl = "{url}"\n[clusters.test.prometheus]\n'
            f'url = "http://127.0.0.1:{taken.getsockname()[1]}"\n'
        )
        with started(tmp_path, url, "--all-clusters", "-A") as server:
            until(lambda: server.json("/api/v1/status")["clusters"][0]["age_seconds"] is not None, "an answer of prod")
            until(lambda: server.json("/api/v1/status")["clusters"][1]["problem"], "what is wrong with test")
            found = server.json("/api/v1/recommendations")["recommendations"]
            assert [(one["cluster"], one["service"]) for one in found] == [("prod", one.name) for one in history[1]]
            assert "test" in server.get("/")[1].decode()
