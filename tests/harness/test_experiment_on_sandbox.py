"""The whole of it for real: the sandbox, its Prometheus, Locust; killed in the middle, and resumed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from mora import pipeline
from mora.clusters.sandbox import SandboxCluster
from mora.dataset import list_services, read_cards, read_dataset
from mora.domain import Workload
from mora.harness.drive import Moment, Offer, Times, drive
from mora.harness.experiment import run_plan
from mora.harness.plan import Plan
from mora.metrics import METRIC_COLUMNS
from mora.sandbox import SandboxHandle, start
from mora.sources.prometheus.observe import PrometheusSource
from tests.running import until

pytestmark = pytest.mark.slow

PLAN = """
duration = "10s"
settle = "10s"
ramp = "2s"

[[cells]]
scenario = "browsing"
replicas = 2
users = 10

[[cells]]
scenario = "checkout"
replicas = 1
users = 10
"""
RUN = """
import sys
from pathlib import Path
from mora.clusters.sandbox import SandboxCluster
from mora.domain import Workload
from mora.harness.experiment import run_plan
from mora.harness.plan import Plan
from mora.sandbox import connect
from mora.sources.prometheus.observe import PrometheusSource

sandbox = connect(sys.argv[1])
workloads = [Workload(sandbox.namespace, name) for name in sandbox.services]
run_plan(Plan.load(sys.argv[2]), SandboxCluster(sandbox), PrometheusSource(sandbox.prometheus_url),
         workloads=workloads, entry_service=sandbox.entry_service, load_url=sandbox.shop_url,
         data_dir=Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxHandle]:
    handle = start(f"harness-{os.getpid()}", owner_pid=os.getpid(), await_metrics=False)
    yield handle
    handle.down()


def locusts(url: str) -> list[str]:
    """Processes that drive a load at `url`, those that are not zombies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"locust" in arguments and f"LOCUST_HOST={url}".encode() in environment:
            found.append(process.name)
    return found


def test_a_plan_runs_on_the_sandbox_is_killed_and_resumed(sandbox: SandboxHandle, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(PLAN)
    data, url = tmp_path / "data", sandbox.shop_url
    plan = Plan.load(tmp_path / "two.toml")
    order = [cell.experiment("frontend").id for cell in plan.experiments()]
    before = {name: service["replicas"] for name, service in sandbox.status()["services"].items()}

    command = [sys.executable, "-c", RUN, sandbox.name, str(tmp_path / "two.toml"), str(data)]
    with subprocess.Popen(command) as process:
        until(
            lambda: (data / f"frontend/{order[0]}.json").exists() or process.poll() is not None, "the first experiment"
        )
        until(lambda: locusts(url) or process.poll() is not None, "a running load")
        assert process.poll() is None
        folder = Path(f"/proc/{locusts(url)[0]}/cwd").readlink()
        process.send_signal(signal.SIGKILL)
    until(lambda: not locusts(url), "no load any more")
    shutil.rmtree(folder)  # all that a killed run leaves: what its Locust wrote down
    first = data / f"frontend/{order[0]}.csv"
    kept = first.read_bytes()
    # On a machine that does other things as well the first may be no measurement; then it is driven again.
    is_contended = read_cards("frontend", data)[order[0]]["contention"]["is_contended"]

    workloads = [Workload(sandbox.namespace, name) for name in sandbox.services]
    report = run_plan(
        plan,
        SandboxCluster(sandbox),
        PrometheusSource(sandbox.prometheus_url),
        workloads=workloads,
        entry_service=sandbox.entry_service,
        load_url=url,
        data_dir=data,
        resume=True,
    )
    assert report.skipped == (() if is_contended else (order[0],))
    assert report.written == (tuple(order) if is_contended else (order[1],))
    assert report.incomplete == {}
    assert (first.read_bytes() == kept) is not is_contended
    assert locusts(url) == []
    assert {name: service["replicas"] for name, service in sandbox.status()["services"].items()} == before

    assert list_services(data) == sandbox.services
    for service in sandbox.services:
        frame = read_dataset(service, data, include_flagged=True)
        assert len(frame) == 2 * 10
        assert frame[list(METRIC_COLUMNS)].notna().all(axis=None)
        assert (frame["replica_count_value"] == frame["replica_count"]).all()
        assert frame["cpu_cores_value"].max() > 0  # browsing leaves the payment service idle
        assert (frame["mem_bytes_value"] > 1e6).all()
        for card in read_cards(service, data).values():
            assert card["quality"]["is_complete"] is not card["contention"]["is_contended"]
            assert card["rate_window_seconds"] == 10
            assert card["load_test"]["requests"] > 0
            assert card["startup"]["mem_bytes"] > 1e6
            assert card["resources"]["cpu_limit_millicores"] > 0
            assert card["image"]
    check_load_columns(read_dataset("frontend", data, include_flagged=True), read_cards("frontend", data))


def check_load_columns(frame: pd.DataFrame, cards: dict[str, dict[str, dict[str, float]]]) -> None:
    """The entry service's columns agree with the figures of the window in its JSON."""
    assert (
        frame[["requests_per_second", "latency_p50_seconds", "latency_p95_seconds", "error_ratio"]]
        .notna()
        .all(axis=None)
    )
    for experiment_id, rows in frame.groupby("experiment_id"):
        figures = cards[str(experiment_id)]["load_test"]
        assert rows["requests_per_second"].mean() == pytest.approx(figures["requests_per_second"], rel=0.35)
        assert (rows["latency_p50_seconds"] <= rows["latency_p99_seconds"]).all()


def test_a_window_says_what_this_machine_did_and_locust_goes_before_other_programs(sandbox: SandboxHandle) -> None:
    groups: set[str] = set()

    def watch(moment: Moment) -> bool:
        for pid in locusts(sandbox.shop_url):
            groups.add(Path(f"/proc/{pid}/cgroup").read_text())
        return False

    offer = Offer("browsing", Plan.load("demo").path.parent.parent / "scenarios/browsing.py", 5)
    second = timedelta(seconds=1)
    with pipeline.sandbox_place(sandbox.name) as place:
        driven = drive(place.site(), [offer], Times(5 * second, 2 * second, second, second), watch=watch)
        use = PrometheusSource(sandbox.prometheus_url).node_use(sandbox.namespace, driven.window)
    found = driven.contention.host
    assert found is not None
    assert found.target_cores is not None
    assert 0 < found.target_cores < (os.cpu_count() or 1)
    assert found.target_waited_cores is not None
    assert found.others_cores is not None
    assert driven.contention.late_p95_seconds is not None
    assert driven.contention.load_cpu_cores is not None
    assert driven.contention.load_cpu_cores > 0
    # What node-exporter says of the same machine.
    assert use is not None
    assert use.cores == found.cores == os.cpu_count()
    if sandbox.load_files:
        assert groups
        assert all("/load" in text for text in groups)
