"""From a fault in the sandbox to a firing alert at a webhook: mora health watch, real Prometheus, real Alertmanager."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from mora.domain import Workload
from mora.health.model import train
from mora.health.reading import read_prometheus
from mora.sandbox import SandboxHandle
from mora.sources.prometheus.observe import PrometheusSource
from tests.alerting import alertmanager, webhook
from tests.running import clean_environment, command, until
from tests.sandbox.shopper import Shopper, value
from tests.sources.rig import serve

pytestmark = pytest.mark.slow

RULES = Path(__file__).resolve().parents[2] / "charts" / "mora" / "files" / "health-alerts.yaml"
STEP = timedelta(seconds=1)
LEARNT = 95
SERVICE = "cartservice"


@contextmanager
def customers(url: str) -> Iterator[None]:
    """A customer who looks into the cart ten times a second, until the end of the block."""
    done = threading.Event()

    def look() -> None:
        shopper = Shopper(url)
        while not done.wait(0.1):
            try:
                shopper.get("/cart")
            except urllib.error.HTTPError:
                continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def learn(sandbox: SandboxHandle, folder: Path) -> None:
    """A detector of the service from the last minute and a half of load."""
    counted = f'max(count_over_time(istio_requests_total{{destination_workload="{SERVICE}"}}[120s]))'
    until(lambda: (value(sandbox, counted) or 0) >= LEARNT, "a minute and a half of load")
    source = PrometheusSource(sandbox.prometheus_url, retries=0)
    samples = read_prometheus(source, Workload("default", SERVICE), span=timedelta(seconds=LEARNT), step=STEP)
    metrics = ("latency_p95_seconds", "requests_per_second")
    model = train(samples.frame, service=SERVICE, detector="robust-z", threshold="quantile", metrics=metrics)
    model.save(folder / "health" / "default" / SERVICE)


@contextmanager
def watcher(sandbox: SandboxHandle, folder: Path) -> Iterator[str]:
    """The address (host:port) of a running mora health watch."""
    log = folder / "watch.log"
    words = command("health", "watch", "--prometheus", sandbox.prometheus_url, "--listen", "127.0.0.1:0")
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(words, cwd=folder, env=clean_environment(), stderr=stderr)
    try:
        until(lambda: "msg=started" in log.read_text() or process.poll() is not None, "the watcher")
        assert process.poll() is None, log.read_text()
        yield log.read_text().partition("url=http://")[2].split()[0].rstrip("/")
    finally:
        process.terminate()
        process.wait(timeout=60)


def quick_rules(folder: Path) -> Path:
    """The rules as they ship, but for the minutes that they wait."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "2s"
    (folder / "rules.yaml").write_text(json.dumps(rules), encoding="utf-8")
    return folder / "rules.yaml"


def test_a_fault_in_the_sandbox_is_an_alert_at_a_webhook_that_names_its_metric(
    sandbox: SandboxHandle, tmp_path: Path
) -> None:
    with (
        customers(sandbox.shop_url),
        webhook() as posted,
        alertmanager(tmp_path, posted) as alerts,
    ):
        learn(sandbox, tmp_path)
        with watcher(sandbox, tmp_path) as watched:
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(quick_rules(tmp_path))],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts]}]}]},
                "scrape_configs": [
                    {"job_name": "mora", "honor_labels": True, "static_configs": [{"targets": [watched]}]}
                ],
            }
            with serve(tmp_path / "tsdb", config=config):
                began = datetime.fromtimestamp(time.time(), UTC)
                fault = sandbox.inject("latency", SERVICE, seconds=600, strength=0.5, owner_pid=os.getpid())
                wanted = {"namespace": "default", "service": SERVICE}
                until(lambda: posted.firing("MoraServiceIsFarFromUsual", **wanted), "an alert at the webhook")
                sandbox.end_fault(fault)
    (alert, *_) = posted.firing("MoraServiceIsFarFromUsual", **wanted)
    assert datetime.fromisoformat(alert["startsAt"][:19] + "+00:00") >= began - STEP
    assert alert["labels"]["severity"] == "critical"
    assert alert["annotations"]["description"].startswith("Most of its score is of latency_p95_seconds.")
    assert f"/health/default/{SERVICE}" in alert["annotations"]["description"]
