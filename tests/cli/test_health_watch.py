"""mora health watch as a user starts it: a process, a real Prometheus whose frontend is sick, requests over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mora.cli.health_watch import _look
from mora.health.stored import Stored
from mora.health.watch import Watcher
from mora.settings import PrometheusSettings, Settings
from tests.health.prometheus import served, train_on
from tests.running import clean_environment, command, mora, until
from tests.sources.rig import serve as serve_prometheus


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with detectors of two services, and a Prometheus of them."""
    folder = tmp_path_factory.mktemp("watched")
    with served(folder) as url:
        train_on(url, folder / "health")
        yield folder, url


class Running:
    """A running mora health watch."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.log() or self.process.poll() is not None, f"{text} in the log")
        assert text in self.log(), self.log()

    def get(self, path: str) -> tuple[int, bytes]:
        self.wait_for("msg=started")
        url = self.log().partition("url=")[2].split()[0].rstrip("/")
        try:
            with urllib.request.urlopen(url + path, timeout=120) as answer:  # noqa: S310  # loopback
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def names(self) -> set[str]:
        return {line.split("{")[0] for line in self.get("/metrics")[1].decode().split("\n")}

    def state(self, service: str) -> str:
        status, body = self.get(f"/health/shop/{service}")
        return str(json.loads(body)["state"]) if status == 200 else f"{status}"


@contextmanager
def started(folder: Path, url: str, *arguments: str, by: tuple[str, ...] = ("health", "watch")) -> Iterator[Running]:
    log = folder / f"log-{len(list(folder.glob('log-*')))}"
    words = (*by, "--prometheus", url, "--listen", "127.0.0.1:0", *arguments)
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command(*words), cwd=folder, env={**clean_environment(), "OMP_NUM_THREADS": "1"}, stderr=stderr
        )
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


def test_it_finds_the_sick_service_answers_and_ends_on_a_signal(stage: tuple[Path, str]) -> None:
    folder, url = stage
    with started(folder, url, "--alias") as one, started(folder, url, "frontend", "-n", "shop") as other:
        until(lambda: one.get("/readyz")[0] == 200, "the first look")
        # A machine that stands still for long makes a verdict stale, until the next look.
        until(lambda: (one.state("frontend"), one.state("cart")) == ("abnormal", "healthy"), "the verdicts")
        assert one.get("/healthz") == (200, b"ok\n")
        alias = b'\nanomaly_score{namespace="shop",service="frontend",detector="robust-z"}'
        state = b'mora_health_state{namespace="shop",service="frontend",state="abnormal"} 1'
        until(lambda: alias in (text := one.get("/metrics")[1]) and state in text, "the metrics")
        # Two watchers of one Prometheus do not disturb one another.
        until(lambda: other.get("/readyz")[0] == 200, "the first look of the other")
        until(lambda: (other.state("frontend"), other.state("cart")) == ("abnormal", "404"), "the other's verdicts")
        assert b"\nanomaly_score" not in other.get("/metrics")[1]
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(120) == 0
        assert 'msg="shut down" signal=SIGTERM' in one.log()
        assert other.get("/healthz")[0] == 200


def test_one_server_has_recommendations_and_health(stage: tuple[Path, str]) -> None:
    folder, url = stage
    with started(folder, url, "--watch-health", "--no-kubernetes", by=("serve",)) as one:
        until(lambda: one.state("frontend") == "abnormal", "the first look")
        assert one.get("/api/v1/status")[0] == 200
        until(lambda: one.names() >= {"mora_anomaly", "mora_answer_stale"}, "metrics of both")
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(120) == 0
    done = mora("serve", "--once", "--watch-health", cwd=folder)
    assert (done.returncode, "mora health watch --once" in done.stderr) == (1, True)


def test_a_prometheus_that_is_away_is_reported_and_never_healthy(stage: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = stage
    with started(folder, "http://127.0.0.1:9") as one:
        one.wait_for('msg="services cannot be read"')
        status, body = one.get("/health/shop/cart")
        found: Any = json.loads(body)
        assert (status, found["state"], found["score"]) == (200, "unknown", None)
        assert "cannot be reached" in found["problem"]
        assert b"mora_health_watch_failing 1" in one.get("/metrics")[1]
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(120) == 0


def test_one_look_prints_a_row_a_service_and_fails_where_that_is_asked_for(stage: tuple[Path, str]) -> None:
    folder, url = stage
    done = mora("health", "watch", "--once", "--prometheus", url, cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith("shop/")}
    assert (rows["shop/frontend"][0], rows["shop/cart"][0]) == ("abnormal", "healthy")
    assert "mem_bytes_value" in rows["shop/frontend"]
    sick = mora(
        "health", "watch", "shop/frontend", "--once", "-o", "json", "--fail-on-anomaly", "--prometheus", url, cwd=folder
    )
    assert sick.returncode == 3
    assert [one["state"] for one in json.loads(sick.stdout)["services"]] == ["abnormal"]
    well = mora("health", "watch", "shop/cart", "--once", "--fail-on-anomaly", "--prometheus", url, cwd=folder)
    assert well.returncode == 0, well.stderr
    away = mora("health", "watch", "--once", "--prometheus", "http://127.0.0.1:9", cwd=folder)
    assert away.returncode == 1
    assert "cannot be reached" in away.stderr
    assert away.stdout == ""


def test_a_look_that_takes_long_says_what_it_saw(
    stage: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = stage
    began = datetime.now(UTC) - timedelta(minutes=5)
    monkeypatch.setattr("mora.health.watch.Watcher", partial(Watcher, now=lambda: began))
    settings = Settings(health_dir=folder / "health", prometheus=PrometheusSettings(url=url))
    _look(settings, Stored(settings.health_dir), "json", fails=False)
    states = {one["service"]: one["state"] for one in json.loads(capsys.readouterr().out)["services"]}
    assert states == {"frontend": "abnormal", "cart": "healthy"}


def test_a_prometheus_that_knows_nothing_gives_no_verdict(stage: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = stage
    (tmp_path / "tsdb").mkdir()
    with serve_prometheus(tmp_path / "tsdb") as url:
        done = mora("health", "watch", "--once", "--fail-on-anomaly", "--prometheus", url, cwd=folder)
    assert done.returncode == 1
    assert "No metric that it was trained on has a sample." in done.stdout
    assert "No service has a verdict" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", "-n", "shop"), "There is no detector of shop/nobody"),
        (("shop/front/end",), "not a valid"),
        (("-n", "other"), "No service of namespace 'other' has a detector"),
        (("cart", "-n", "shop", "--all"), "Leave out one of them"),
        (("-o", "json"), "Add --once"),
        (("--once", "-o", "yaml"), "Known: table, json"),
        (("--listen", "here"), "127.0.0.1:8944"),
        (("--health", "nowhere"), "No service has a detector in nowhere"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_a_clear_error(
    stage: tuple[Path, str], arguments: tuple[str, ...], words: str
) -> None:
    done = mora("health", "watch", *arguments, "--prometheus", "http://127.0.0.1:9", cwd=stage[0])
    assert done.returncode == 1
    assert words in done.stderr
