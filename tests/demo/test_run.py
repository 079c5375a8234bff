"""`mora demo`: what it refuses, what it does with recommendations, and that it leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora import pipeline, tools
from mora.dataset import read_dataset
from mora.demo import run as demo_run
from mora.demo.manifest import deployment_manifest
from mora.demo.run import contention, drive, figures, next_steps, prove, run_demo, why_not_applied
from mora.demo.scaling import Scaling, measure_scaling
from mora.domain import (
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
    Load,
    Reason,
    Recommendation,
    Resources,
    Slo,
    Workload,
)
from mora.errors import BadInput, MoraError, NotEnoughData, ToolMissing
from mora.harness.plan import Cell, Plan
from mora.policies import PolicySettings
from mora.proof import Figures, Proof, Verdict, describe_proof
from mora.quantities import MIB
from mora.seams import Silent
from mora.tools import find_tool
from tests.conftest import leave_free
from tests.demo.runs import write_run
from tests.fakes import FakeCluster, FakeSource
from tests.running import command, mora

DATA = Path(__file__).resolve().parent.parent.parent / "data"
SHOP = ("cartservice", "checkoutservice", "frontend", "paymentservice", "productcatalogservice")


def test_a_folder_of_something_else_is_refused_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="not made by `mora demo`"):
        run_demo(tmp_path, say=print, show=print, reporter=Silent())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_missing_kubectl_is_an_error_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MORA_TOOLS", raising=False)
    monkeypatch.setattr(tools, "_FETCHED", tmp_path)
    with pytest.raises(ToolMissing, match="kubectl"):
        run_demo(tmp_path / "demo", say=print, show=print, reporter=Silent())
    assert not (tmp_path / "demo").exists()


def test_kubectl_takes_the_manifest_as_a_deployment(tmp_path: Path) -> None:
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


def recommendation(replicas: int | None, *reasons: Reason) -> Recommendation:
    number = Advice(now=1, value=100)
    return Recommendation(
        workload=Workload("default", "frontend"),
        current=Allocation(1, (Container("server", Resources(100, 180, 512 * MIB, 512 * MIB), is_main=True),)),
        load=Load("checkout", 60),
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        containers=(ContainerAdvice("server", number, number, number, number, is_main=True),),
        replicas=Advice(now=1, value=replicas),
        reasons=reasons,
    )


def test_recommendations_are_applied_only_where_all_have_replicas_that_keep_the_slo() -> None:
    reason = Reason("no-replicas-keep-slo", "1 to 3 replicas cannot keep p95 300 ms")
    assert why_not_applied([recommendation(2), recommendation(3)]) is None
    assert why_not_applied([recommendation(2), recommendation(None, reason)]) == reason.text
    assert why_not_applied([recommendation(None)]) == "no replica count for frontend keeps the SLO"


@pytest.fixture
def busy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A shop of one service whose load experiments are all contended; nothing is started."""
    cluster, frontend = FakeCluster({"frontend": 1}), Workload("default", "frontend")

    @contextmanager
    def place(name: str) -> Iterator[pipeline.Place]:
        yield pipeline.Place(cluster, FakeSource(), (frontend,), "frontend", "http://127.0.0.1:1")

    def collect(plan: Plan, place: pipeline.Place, *, data_dir: Path, **_: Any) -> None:
        for cell in plan.cells:
            write_run(data_dir, cell, contended="Locust was 90 ms late, of a p95 of 100 ms")

    monkeypatch.setattr(pipeline, "sandbox_place", place)
    monkeypatch.setattr(pipeline, "await_quiet", lambda *_, **__: True)
    monkeypatch.setattr(pipeline, "collect", collect)
    monkeypatch.setattr(demo_run, "measure_scaling", lambda *_, **__: Scaling(60, "frontend", 0.03))
    return cluster


def test_what_cannot_keep_the_slo_is_not_applied_and_there_is_no_verdict(
    busy_machine: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    none = recommendation(None, Reason("no-replicas-keep-slo", "1 to 3 replicas cannot keep p95 300 ms"))
    monkeypatch.setattr(pipeline, "train_all", lambda names, **_: [pipeline.Trained("frontend", None, None, 1.0)])
    monkeypatch.setattr(pipeline, "recommend", lambda name, **_: none)
    proof = run_demo(tmp_path / "demo", say=print, show=print, reporter=Silent())
    assert (proof.verdict, proof.after) == (Verdict.NONE, None)
    assert busy_machine.calls == []
    printed = capsys.readouterr().out
    assert "6/6  Skipped: no recommendation here keeps the SLO, so none is applied" in printed
    assert "No verdict: the recommendations were not applied. 1 to 3 replicas cannot keep p95 300 ms." in printed
    assert "busy with other programs in 3 of 3 runs (Locust was 90 ms late, of a p95 of 100 ms). Stop them" in printed
    assert "$ mora recommend frontend -u 60 --scenario checkout --allow-any-step -o patch > frontend" in printed
    assert f"cd {tmp_path / 'demo'}, then mora explain frontend" in printed


def test_too_little_data_from_a_busy_machine_is_no_verdict(
    busy_machine: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = NotEnoughData("Not enough experiments to train 'frontend'.")
    monkeypatch.setattr(pipeline, "train_all", lambda names, **_: [pipeline.Trained("frontend", None, error, 1.0)])
    proof = run_demo(tmp_path / "demo", say=print, show=print, reporter=Silent())
    assert (proof.verdict, busy_machine.calls) == (Verdict.NONE, [])
    assert "No verdict: the recommendations were not applied. Not enough experiments" in capsys.readouterr().out


def test_a_shop_that_answers_nothing_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    cell, frontend = Cell("checkout", 1, 60), Workload("default", "frontend")
    write_run(tmp_path, cell, p95_seconds=None)
    shipped = {frontend: FakeCluster().allocation(frontend)}
    with pytest.raises(MoraError, match=r"answered no request of 60 users(.|\n)*idle CPU"):
        figures(shipped, tmp_path, cell, "frontend")


def test_the_contention_of_every_run_is_that_of_its_card(tmp_path: Path) -> None:
    for users, how in ((10, ""), (20, "the hypervisor took 9% of the CPU"), (30, "")):
        write_run(tmp_path, Cell("checkout", 1, users), contended=how)
    assert contention(tmp_path, "frontend") == ((), ("the hypervisor took 9% of the CPU",), ())


def test_what_falls_short_is_driven_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One window can have bad luck; where the second keeps the SLO, it was that."""
    cluster, cell = FakeCluster({"frontend": 1}), Cell("checkout", 1, 60)
    place = pipeline.Place(cluster, FakeSource(), (Workload("default", "frontend"),), "frontend", "http://127.0.0.1:1")
    before = Figures({"frontend": (10**6, 2**40)}, {"frontend": 1}, 1.2, 0.0, 0.9, 0)
    begun = Proof(Load("checkout", 60), Slo(), before, None, ())
    kept, missed = Verdict.KEPT, Verdict.MISSED
    for p95, verdict, tries in (([0.5, 0.1], kept, 2), ([0.5, 0.6], missed, 2), ([0.1], kept, 1)):
        left = list(p95)

        def collect(plan: Plan, place: pipeline.Place, *, data_dir: Path, left: list[float] = left, **_: Any) -> None:
            for one in plan.cells:
                write_run(data_dir, one, p95_seconds=left.pop(0), oom_kills=0.0)

        monkeypatch.setattr(pipeline, "collect", collect)
        folder = tmp_path / str(p95)
        result = prove([recommendation(1)], begun, place, Plan.load("demo"), cell, data_dir=folder, reporter=Silent())
        assert (result.verdict, left, len(list(folder.iterdir()))) == (verdict, [], tries)


def test_the_next_steps_can_be_typed_in_a_shell_that_has_not_heard_of_mora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    text = next_steps(tmp_path)
    first, second = text.removeprefix("To look further: ").partition(", then ")[0].split(", ")
    assert second == f"cd {tmp_path}"
    done = subprocess.run(["bash", "-c", f"{first} && {second} && mora --version"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PATH", f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin")
    assert next_steps(tmp_path).startswith(f"To look further: cd {tmp_path}, then mora explain")


def committed_share_per_user() -> float:
    """What a user took of the frontend's CPU limit on the machine that collected data/: its cells with CPU to spare."""
    rows = read_dataset("frontend", DATA)
    rows = rows[(rows["scenario"] == "checkout") & (rows["load_users"] <= 35) & (rows["replica_count"] > 1)]
    used = rows["cpu_cores_value"] / rows["cpu_limit_cores"]
    return float((used * rows["replica_count"] / rows["load_users"]).mean())


@pytest.mark.slow
def test_recommendations_from_the_committed_data_keep_the_slo_on_the_real_sandbox(tmp_path: Path) -> None:
    """Train on data/, size every service, apply it, drive the same load: no OOM kill, the SLO kept, less reserved."""
    models = tmp_path / "models"
    for trained in pipeline.train_all(SHOP, data_dir=DATA, models_dir=models, jobs=1):
        assert trained.error is None, trained.error
    plan = Plan.load("demo")
    cell = next(cell for cell in plan.cells if cell.replicas == 1)
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
        # The data say what 60 users need on the machine that collected them: as much as fewer users on a slower one.
        scaling = measure_scaling(plan, cell, place.site(), reporter=Silent())
        users = min(cell.users, round(cell.users * committed_share_per_user() / scaling.limit_share_per_user))
        cell = replace(cell, users=users)
        before, busy = drive(plan, cell, place, data_dir=tmp_path / "before", reporter=Silent())
        begun = Proof(Load(cell.scenario, cell.users), Slo(), before, None, (), busy)
        result = prove(advice, begun, place, plan, cell, data_dir=tmp_path / "after", reporter=Silent())
    print(describe_proof(result))
    assert len(result.contention) >= 2
    assert result.after is not None
    assert result.after.reserved_bytes < result.before.reserved_bytes
    for service in ("checkoutservice", "paymentservice"):
        assert result.after.reserved_by_service[service] < result.before.reserved_by_service[service]
    for one in advice:
        assert one.main.memory_request.value is not None
        assert one.main.cpu_request.value is not None
        assert one.replicas.value is not None
    # Where other programs take all the CPU there are fewer sessions and slow answers; then nothing is claimed.
    assert result.verdict is (Verdict.NONE if result.failures and result.busy else Verdict.KEPT), result.failures
    if not result.busy:
        # Whether the carts outgrow cartservice's memory in the window is a matter of seconds; the SLO breaks anyway.
        before_fails = result.before.oom_kills > 0 or result.before.p95_seconds > Slo().p95_seconds
        assert before_fails, f"the shop ships with too little for {users} users on one replica"


@pytest.mark.slow
def test_a_full_disk_ends_the_demo_with_a_message_its_shop_stopped_and_no_partial_file(tiny_disk: Path) -> None:
    leave_free(tiny_disk, 8192)  # room for the folder's mark and the lock of the run
    home = tiny_disk.parent / "sandboxes"
    done = mora("demo", cwd=tiny_disk, MORA_SANDBOX_HOME=str(home))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Free some space, or name a folder on another disk." in done.stderr
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []
    written = [path.name for path in (tiny_disk / "demo").rglob("*") if path.is_file()]
    assert sorted(written) == [".mora-demo", "lock"]


@pytest.mark.slow
def test_ctrl_c_stops_the_demos_shop(tmp_path: Path) -> None:
    environment = {**os.environ, "MORA_SANDBOX_HOME": str(tmp_path / "sandboxes")}
    asked = command("demo", "--dir", str(tmp_path / "demo"))
    running = subprocess.Popen(asked, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("collect:"):
            break
    running.send_signal(signal.SIGINT)
    printed = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=60) == 130
    assert "Interrupted" in printed
    assert "Traceback" not in printed
    assert [path.name for path in (tmp_path / "sandboxes").iterdir() if path.is_dir()] == []
