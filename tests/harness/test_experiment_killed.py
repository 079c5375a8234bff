"""Runs in processes of their own that are interrupted and killed in the middle, and go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mora.dataset import read_cards, read_dataset
from mora.harness.experiment import run_plan
from mora.harness.plan import Plan
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeLoad, FakeSource

PLAN = """
scenarios = ["quiet.py"]
replicas = [1, 3]
users = [5, 10]
duration = "20s"
"""

# A run that stands still once some of its experiments are finished, in the middle of the next one; interrupted, it says
# what replicas it leaves.
RUN = """
import signal, sys, time
from pathlib import Path
from mora.harness.experiment import run_plan
from mora.harness.plan import Plan
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeLoad, FakeSource

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background

class Stopping(FakeClock):
    def sleep(self, seconds):
        while len(list(Path(sys.argv[2]).glob("frontend/*.json"))) >= int(sys.argv[3]):
            time.sleep(0.05)
        super().sleep(seconds)

clock, cluster = Stopping(), FakeCluster({"cartservice": 1, "frontend": 2})
try:
    run_plan(Plan.load(sys.argv[1]), cluster, FakeSource(), workloads=SHOP, entry_service="frontend",
             load_url="http://127.0.0.1:1", data_dir=Path(sys.argv[2]), clock=clock, start_load=FakeLoad(clock).start)
except KeyboardInterrupt:
    print(cluster.replicas)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("finished", [1, 3])
def test_a_run_ended_in_the_middle_goes_on_and_loses_no_finished_experiment(
    tmp_path: Path, number: signal.Signals, finished: int
) -> None:
    (tmp_path / "quiet.py").write_text("# a locustfile\n")
    (tmp_path / "plan.toml").write_text(PLAN)
    data = tmp_path / "data"
    command = [sys.executable, "-c", RUN, str(tmp_path / "plan.toml"), str(data), str(finished)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        while len(list(data.glob("frontend/*.json"))) < finished:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        printed, _ = process.communicate()
    if number == signal.SIGINT:
        assert printed == "{'cartservice': 1, 'frontend': 2}\n"

    kept = {path.stem: path.stat().st_mtime_ns for path in data.glob("frontend/*.json")}
    clock = FakeClock()
    report = run_plan(
        Plan.load(tmp_path / "plan.toml"),
        FakeCluster(),
        FakeSource(),
        workloads=SHOP,
        entry_service="frontend",
        load_url="http://127.0.0.1:1",
        data_dir=data,
        resume=True,
        clock=clock,
        start_load=FakeLoad(clock).start,
    )
    assert len(report.skipped) == finished
    assert len(report.skipped) + len(report.written) == 4
    assert all((data / f"frontend/{name}.json").stat().st_mtime_ns == kept[name] for name in report.skipped)
    for service in ("cartservice", "frontend"):
        frame = read_dataset(service, data)
        assert len(frame) == 4 * 20
        assert not frame.duplicated(["experiment_id", "timestamp"]).any()
        assert len({card["run_id"] for card in read_cards(service, data).values()}) == 1
