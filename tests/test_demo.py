"""The proof that `mora demo` ends with, and that it would not hide a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from mora import pipeline, tools
from mora.demo import Figures, Proof, deployment_manifest, describe_proof, drive, prove, run_demo
from mora.domain import Allocation, Container, Load, Resources, Slo, Workload
from mora.errors import BadInput, ToolMissing
from mora.harness.plan import Cell, Plan
from mora.policies import PolicySettings
from mora.quantities import MIB
from mora.seams import Silent
from mora.tools import find_tool
from tests.conftest import leave_free

DATA = Path(__file__).resolve().parent.parent / "data"
SHOP = ("cartservice", "checkoutservice", "frontend", "paymentservice", "productcatalogservice")


def figures(
    *,
    p95_seconds: float = 0.1,
    error_ratio: float = 0.0,
    oom_kills: int = 0,
    reserved: tuple[int, int] = (200, 64 * MIB),
) -> Figures:
    return Figures({"frontend": reserved}, {"frontend": 2}, p95_seconds, error_ratio, 0.0, oom_kills)


def proof(after: Figures) -> Proof:
    return Proof(
        Load("checkout", 60), Slo(), figures(p95_seconds=1.2, oom_kills=3, reserved=(500, 512 * MIB)), after, ()
    )


def test_advice_that_keeps_the_slo_without_a_kill_holds() -> None:
    held = proof(figures())
    assert held.windows
    assert "The advice held" in describe_proof(held)
    assert "2 x 100m, 32 MiB" in describe_proof(held)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (figures(oom_kills=2), "2 OOM kills"),
        (figures(p95_seconds=0.301), "p95 301 ms over 300 ms"),
        (figures(error_ratio=0.02), "2.00% errors over 1.00%"),
        (figures(reserved=(500, 512 * MIB)), "neither less CPU nor less memory"),
    ],
)
def test_advice_that_breaks_a_promise_is_said_to(after: Figures, words: str) -> None:
    broken = proof(after)
    assert not broken.windows
    assert words in describe_proof(broken)
    assert "did NOT hold" in describe_proof(broken)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="something else"):
        run_demo(tmp_path, say=print, show=print, reporter=Silent())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_missing_kubectl_is_said_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MORA_TOOLS", raising=False)
    monkeypatch.setattr(tools, "_FETCHED", tmp_path)
    with pytest.raises(ToolMissing, match="kubectl"):
        run_demo(tmp_path / "demo", say=print, show=print, reporter=Silent())
    assert not (tmp_path / "demo").exists()


def test_the_manifest_is_what_kubectl_takes_for_a_deployment(tmp_path: Path) -> None:
    main = Container("server", Resources(100, 180, 512 * MIB, 512 * MIB), image="shop:1", is_main=True)
    manifest = deployment_manifest(Workload("default", "frontend"), Allocation(2, (main,)))
    file = tmp_path / "frontend.yaml"
    file.write_text(yaml.safe_dump(manifest))
    done = subprocess.run(
        [str(find_tool("kubectl")), "set", "image", "--local", "-f", str(file), "server=shop:2", "-o", "yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    container = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "shop:2"
    assert container["resources"]["limits"] == {"cpu": "180m", "memory": "512Mi"}


@pytest.mark.slow
def test_what_is_advised_from_the_committed_data_holds_on_the_real_sandbox(tmp_path: Path) -> None:
    """Train on data/, size every service, apply it, drive the same load: no OOM kill, the SLO kept, less reserved."""
    models = tmp_path / "models"
    for trained in pipeline.train_all(SHOP, data_dir=DATA, models_dir=models, jobs=1):
        assert trained.error is None, trained.error
    plan = Plan.load("demo")
    cell = Cell("checkout", 1, 60)
    with pipeline.sandbox_place(f"proof-{os.getpid()}") as place:
        assert tuple(workload.name for workload in place.workloads) == SHOP
        shipped = {workload: place.cluster.allocation(workload) for workload in place.workloads}
        advice = [
            pipeline.recommend(
                workload.name,
                users=cell.users,
                scenario=cell.scenario,
                data_dir=DATA,
                models_dir=models,
                current=shipped[workload],
                policy=PolicySettings(allow_any_step=True),
                now=datetime(2026, 1, 1, tzinfo=UTC),
            )
            for workload in place.workloads
        ]
        before = drive(plan, cell, place, data_dir=tmp_path / "before", reporter=Silent())
        result = prove(advice, before, place, plan, cell, data_dir=tmp_path / "after", reporter=Silent())
    print(describe_proof(result))
    assert result.windows, result.failures
    assert result.before.oom_kills > 0, "cartservice ships with too little memory for 60 users on one replica"
    assert result.after.reserved_bytes < result.before.reserved_bytes
    for service in ("checkoutservice", "paymentservice"):
        assert result.after.reserved_by_service[service] < result.before.reserved_by_service[service]
    for recommendation in advice:
        assert recommendation.main.memory_request.value is not None
        assert recommendation.main.cpu_request.value is not None
        assert recommendation.replicas.value is not None


@pytest.mark.slow
def test_a_full_disk_ends_the_demo_in_words_with_its_shop_down_and_nothing_half_written(tiny_disk: Path) -> None:
    leave_free(tiny_disk, 8192)  # room for the folder's mark and the lock of the run
    home = tiny_disk.parent / "sandboxes"
    done = subprocess.run(
        [sys.executable, "-m", "mora", "demo"],
        cwd=tiny_disk,
        env={**os.environ, "MORA_SANDBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Free some space, or name a folder on another disk." in done.stderr
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []
    written = [path.name for path in (tiny_disk / "demo").rglob("*") if path.is_file()]
    assert sorted(written) == [".mora-demo", "lock"]


@pytest.mark.slow
def test_ctrl_c_takes_the_demos_shop_down(tmp_path: Path) -> None:
    environment = {**os.environ, "MORA_SANDBOX_HOME": str(tmp_path / "sandboxes")}
    command = [sys.executable, "-m", "mora", "demo", "--dir", str(tmp_path / "demo")]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("collect:"):
            break
    running.send_signal(signal.SIGINT)
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=60) == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert [path.name for path in (tmp_path / "sandboxes").iterdir() if path.is_dir()] == []
