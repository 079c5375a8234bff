"""A scenario in a real sandbox, with its Prometheus and Locust; and what is left where the run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mora import pipeline, sandbox
from mora.chaos.folder import read_run
from mora.chaos.scenario import Scenario
from mora.errors import BadInput
from mora.sandbox.state import list_sandboxes
from mora.seams import Silent
from tests.running import clean_environment, until

pytestmark = pytest.mark.slow

TOML = """
learn = "80s"
recover = "10s"
[load]
users = 3
[[faults]]
fault = "stuck"
target = "productcatalogservice"
duration = "25s"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(tmp_path / "sandboxes"))
    (tmp_path / "short.toml").write_text(TOML)
    return tmp_path


def test_a_fault_in_a_sandbox_is_recorded_with_its_label_and_detected(home: Path) -> None:
    of = Scenario.load_from(home / "short.toml")
    (place,) = pipeline.run_chaos(of, home / "run", sandbox=None, reporter=Silent())
    assert list_sandboxes() == [], "the sandbox of the run is down"
    assert {path.name for path in place.iterdir()} >= {"labels.csv", "run.json", "productcatalogservice.csv"}
    report, ((part, seen),) = pipeline.judge_chaos(
        home / "run", detector="robust-z", threshold="quantile", reporter=Silent()
    )
    (label,) = part.labels
    catalogue = part.frames["productcatalogservice"].set_index("timestamp")
    inside = catalogue.loc[label.start : label.end].iloc[12:]
    before = catalogue.loc[: label.start]
    for column in ("latency_p95_seconds", "error_ratio", "requests_per_second", "cpu_cores_value"):
        assert column in catalogue, "what the sandbox exports of every service"
    assert inside["latency_p95_seconds"].max() > 10 * before["latency_p95_seconds"].median()
    assert report.detected == 1
    assert seen.seen[0].own is not None


def test_where_the_run_is_killed_its_faults_end_in_a_sandbox_that_goes_on(home: Path) -> None:
    (home / "long.toml").write_text(TOML.replace('duration = "25s"', 'duration = "1h"'))
    # As the command runs it, but for the minutes of learning before the first fault.
    program = (
        "from dataclasses import replace; from datetime import timedelta; from pathlib import Path\n"
        "from mora import pipeline; from mora.chaos.scenario import Scenario; from mora.seams import Silent\n"
        "of = Scenario.load_from('long.toml')\n"
        "part = of.parts[0]\n"
        "soon = replace(part, injections=(replace(part.injections[0], start=timedelta(seconds=1)),))\n"
        "pipeline.run_chaos(replace(of, parts=(soon,)), Path('run'), sandbox='steady', reporter=Silent())\n"
    )
    handle = sandbox.start("steady", owner_pid=os.getpid(), await_metrics=False)
    try:
        variables = {**clean_environment(), "MORA_SANDBOX_HOME": os.environ["MORA_SANDBOX_HOME"]}
        with subprocess.Popen([sys.executable, "-c", program], cwd=home, env=variables) as run:
            try:
                until(lambda: handle.status()["faults"] != [], "a fault", seconds=300)
            finally:
                run.send_signal(signal.SIGKILL)
        until(lambda: handle.status()["faults"] == [], "no fault")
        handle.wait_ready()
        pid = handle.status()["services"]["productcatalogservice"]["pods"][0]["pid"]
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T", "it goes on"
    finally:
        handle.down()
    with pytest.raises(BadInput, match="no finished part"):
        read_run(home / "run")
