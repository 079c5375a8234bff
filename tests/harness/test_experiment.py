"""Running plans with a fake cluster, source, clock and load; real ones are in test_experiment_on_sandbox.py."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mora.dataset import list_services, read_cards, read_dataset
from mora.domain import Allocation, Autoscaler, Target, Workload
from mora.errors import BadConfig, BadInput, MoraError, SourceUnavailable
from mora.harness.experiment import RunReport, run_plan
from mora.harness.plan import Plan
from mora.harness.record import LoadRecord
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeLoad, FakeSource
from tests.fakes_host import FakeHost

URL = "http://127.0.0.1:8080"
PLAN = """
scenarios = ["quiet.py", "busy.py"]
replicas = [1, 2]
users = [5]
repeats = 2
duration = "20s"
settle = "10s"
ramp = "2s"
seed = 3
"""
REMOTE = '[remote]\nabort_error_ratio = "40%"\nmax_duration = "1h"\n'


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make_plan(tmp_path, PLAN)


def make_plan(folder: Path, text: str) -> Plan:
    for name in ("quiet", "busy"):
        (folder / f"{name}.py").write_text("# a locustfile\n")
    (folder / "small.toml").write_text(text)
    return Plan.load(folder / "small.toml")


class Notes:
    """A reporter that keeps every line."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, float, str]] = []

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        self.lines.append((done, total, note))


def run(plan: Plan, data_dir: Path, **changes: Any) -> RunReport:
    clock = changes.pop("clock", None) or FakeClock()
    load = changes.pop("load", None) or FakeLoad(clock)
    options: dict[str, Any] = {
        "workloads": SHOP,
        "entry_service": "frontend",
        "load_url": URL,
        "data_dir": data_dir,
        "clock": clock,
        "start_load": load.start,
    }
    cluster = changes.pop("cluster", None) or FakeCluster()
    source = changes.pop("source", None) or FakeSource()
    return run_plan(plan, cluster, source, **(options | changes))


class BrokenSource(FakeSource):
    """Fails at its `at`-th query, like Ctrl-C or a lost connection."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self.at, self.error = at, error

    def observe(self, workload: Workload, window: Any) -> Any:
        if len(self.asked) + 1 >= self.at:
            raise self.error
        return super().observe(workload, window)


def test_every_service_gets_every_experiment_with_every_metric(plan: Plan, tmp_path: Path) -> None:
    report = run(plan, tmp_path / "data")
    assert len(report.written) == 8
    assert report.incomplete == {}
    assert list_services(tmp_path / "data") == ["cartservice", "frontend"]
    for service in ("cartservice", "frontend"):
        frame = read_dataset(service, tmp_path / "data")
        assert frame["experiment_id"].nunique() == 8
        assert len(frame) == 8 * 20
        assert frame.filter(like="_value").notna().all(axis=None)
        assert set(frame["replica_count"]) == {1, 2}
        assert set(frame["load_users"]) == {5}


def test_only_the_file_of_the_entry_service_has_load_columns(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data")
    assert (read_dataset("frontend", tmp_path / "data")["requests_per_second"] == 50).all()
    assert read_dataset("cartservice", tmp_path / "data")["requests_per_second"].isna().all()
    for service in ("cartservice", "frontend"):
        for card in read_cards(service, tmp_path / "data").values():
            assert card["load_test"]["requests_per_second"] == 50
            assert card["load_test"]["latency_p50_seconds"] == 0.02


def test_a_card_says_how_its_file_was_measured(plan: Plan, tmp_path: Path) -> None:
    report = run(plan, tmp_path / "data")
    card = read_cards("frontend", tmp_path / "data")["frontend_quiet_replicas_2_users_5_run_2"]
    assert card["run_id"] == report.run_id
    assert (card["repeat"], card["replica_count"], card["load_users"], card["seed"]) == (2, 2, 5, 3)
    assert report.written[card["order"] - 1] == card["experiment_id"]
    assert card["queries"]["cpu_cores_value"] == 'cpu_cores_value{service="frontend"}'
    assert card["image"] == "shop:1"
    assert card["resources"]["cpu_request_millicores"] == 200
    assert card["standing_replicas"] == FakeCluster().replicas["frontend"]
    assert card["rate_window_seconds"] == 10
    assert card["startup"]["cpu_cores"] == pytest.approx(0.02)
    assert card["quality"]["is_complete"] is True
    assert card["quality"]["samples"] == 20
    window = card["window"]
    assert pd.Timestamp(window["end"]) - pd.Timestamp(window["start"]) == pd.Timedelta(seconds=19)


def test_other_containers_go_to_a_separate_file_with_the_samples_of_the_window(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data")
    path = tmp_path / "data/frontend/frontend_quiet_replicas_1_users_5.containers.csv"
    containers = pd.read_csv(path)
    assert list(containers["container"].unique()) == ["sidecar"]
    assert len(containers) == 20


def test_the_window_starts_one_rate_window_after_the_second_at_which_all_users_ran(plan: Plan, tmp_path: Path) -> None:
    class Punctual(FakeLoad):
        def spawned_at(self) -> datetime | None:
            spawned = super().spawned_at()
            return None if spawned is None else spawned.replace(microsecond=0)

    clock = FakeClock()
    run(plan, tmp_path / "data", clock=clock, load=Punctual(clock))
    card = read_cards("frontend", tmp_path / "data")["frontend_busy_replicas_1_users_5"]
    first = min(card["window"]["start"] for card in read_cards("frontend", tmp_path / "data").values())
    assert (first, card["rate_window_seconds"]) == ("2026-11-01T12:00:11Z", 10)  # the load began at 12:00:00.25


def test_the_metrics_from_before_the_window_are_read_for_the_peaks_at_start_up(plan: Plan, tmp_path: Path) -> None:
    clock, source = FakeClock(), FakeSource()
    load = FakeLoad(clock)
    run(plan, tmp_path / "data", clock=clock, source=source, load=load)
    start = pd.Timestamp(
        read_cards("frontend", tmp_path / "data")["frontend_busy_replicas_1_users_5"]["window"]["start"]
    )
    window = next(w for name, w in source.asked if name == "frontend" and w.end >= start)
    assert start.microsecond == 0
    assert window.start < start  # the start-up before it is read too, for its peaks


def test_each_experiment_scales_and_restarts_and_the_run_restores_the_replicas(plan: Plan, tmp_path: Path) -> None:
    cluster = FakeCluster({"cartservice": 1, "frontend": 4})
    run(plan, tmp_path / "data", cluster=cluster)
    kinds = [call for call, _ in cluster.calls]
    assert kinds == ["apply", "apply", "restart"] * 8 + ["apply", "apply", "wait_ready"]
    assert all(names == ["cartservice", "frontend"] for call, names in cluster.calls if call == "restart")
    assert cluster.replicas == {"cartservice": 1, "frontend": 4}


def test_only_the_targets_are_scaled_and_the_others_keep_their_replicas(tmp_path: Path) -> None:
    cluster = FakeCluster({"cartservice": 3, "frontend": 4})
    run(make_plan(tmp_path, PLAN + 'targets = ["frontend"]\n'), tmp_path / "data", cluster=cluster)
    assert all(name == "frontend" for call, (name, *_) in cluster.calls if call in ("apply", "wait_ready"))
    assert set(read_dataset("cartservice", tmp_path / "data")["replica_count"]) == {3}
    assert set(read_dataset("frontend", tmp_path / "data")["replica_count"]) == {1, 2}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceUnavailable("gone")])
def test_an_interrupted_run_restores_the_replicas_and_can_be_resumed(
    plan: Plan, tmp_path: Path, error: BaseException
) -> None:
    data, cluster = tmp_path / "data", FakeCluster({"cartservice": 1, "frontend": 4})
    whole = run(plan, tmp_path / "whole")
    with pytest.raises(type(error)):
        run(plan, data, cluster=cluster, source=BrokenSource(6, error))
    assert cluster.replicas == {"cartservice": 1, "frontend": 4}
    assert len(read_cards("frontend", data)) == 2
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.csv")}

    report = run(plan, data, cluster=cluster, resume=True)
    assert len(report.skipped) == 2
    assert len(report.written) == 6
    assert sorted(report.skipped + report.written) == sorted(whole.written)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    frame = read_dataset("frontend", data)
    assert not frame.duplicated(["experiment_id", "timestamp"]).any()
    assert len(frame) == 8 * 20


def test_an_experiment_is_finished_only_with_the_files_of_all_its_services(plan: Plan, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(plan, data)
    (data / "cartservice/cartservice_quiet_replicas_1_users_5.json").unlink()
    old = (data / "frontend/frontend_quiet_replicas_1_users_5.json").read_text()
    clock = FakeClock()
    clock.sleep(10_000)
    report = run(plan, data, resume=True, clock=clock)
    assert report.written == ("frontend_quiet_replicas_1_users_5",)
    assert (data / "frontend/frontend_quiet_replicas_1_users_5.json").read_text() != old  # both are of the new run


def test_a_resumed_run_restores_the_replicas_from_before_the_killed_one(plan: Plan, tmp_path: Path) -> None:
    data, cluster = tmp_path / "data", FakeCluster({"cartservice": 1, "frontend": 4})
    with pytest.raises(KeyboardInterrupt):
        run(plan, data, cluster=cluster, source=BrokenSource(6, KeyboardInterrupt()))
    cluster.replicas = {"cartservice": 2, "frontend": 2}  # as kill -9 in the middle of an experiment leaves them
    run(plan, data, cluster=cluster, resume=True)
    assert cluster.replicas == {"cartservice": 1, "frontend": 4}


def test_resuming_a_finished_run_changes_nothing(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data")
    cluster = FakeCluster({"cartservice": 7, "frontend": 7})
    report = run(plan, tmp_path / "data", cluster=cluster, resume=True)
    assert report.written == ()
    assert cluster.calls == []


def test_resuming_without_an_earlier_run_starts_one(plan: Plan, tmp_path: Path) -> None:
    assert len(run(plan, tmp_path / "data", resume=True).written) == 8


def test_resuming_with_another_plan_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "data", source=BrokenSource(6, KeyboardInterrupt()))
    for other in (PLAN.replace("seed = 3", "seed = 4"), PLAN.replace("users = [5]", "users = [6]")):
        with pytest.raises(BadInput, match="another plan, other scenarios, targets or services"):
            run(make_plan(tmp_path, other), tmp_path / "data", resume=True)
    with pytest.raises(BadInput, match="another plan, other scenarios, targets or services"):
        run(make_plan(tmp_path, PLAN), tmp_path / "data", resume=True, workloads=SHOP[1:])
    same = make_plan(tmp_path, PLAN)
    (tmp_path / "quiet.py").write_text("# another locustfile\n")
    with pytest.raises(BadInput, match="another plan, other scenarios, targets or services"):
        run(same, tmp_path / "data", resume=True)


def test_a_second_run_into_the_same_folder_is_refused_with_what_to_do(plan: Plan, tmp_path: Path) -> None:
    run(plan, tmp_path / "data")
    with pytest.raises(BadInput, match=r"already has 8 of this plan's 8 experiments(.|\n)*--resume"):
        run(plan, tmp_path / "data")


def test_incomplete_experiments_are_kept_marked_and_reported(plan: Plan, tmp_path: Path) -> None:
    report = run(plan, tmp_path / "data", source=FakeSource(gaps=0.9))
    assert len(report.incomplete) == 16
    flags = report.incomplete["frontend_quiet_replicas_1_users_5"]
    assert any(flag.startswith("few_samples") for flag in flags)
    card = read_cards("frontend", tmp_path / "data")["frontend_quiet_replicas_1_users_5"]
    assert card["quality"]["is_complete"] is False


def test_a_load_that_ends_early_ends_the_run_with_its_message(plan: Plan, tmp_path: Path) -> None:
    clock, cluster = FakeClock(), FakeCluster({"cartservice": 1, "frontend": 4})
    with pytest.raises(MoraError, match="exit status 3"):
        run(plan, tmp_path / "data", clock=clock, cluster=cluster, load=FakeLoad(clock, dies_after=15))
    assert cluster.replicas == {"cartservice": 1, "frontend": 4}
    assert list_services(tmp_path / "data") == []


def test_a_load_that_stops_recording_is_an_error_or_a_warning(plan: Plan, tmp_path: Path) -> None:
    class Silenced(FakeLoad):
        seconds = 0

        def record(self) -> LoadRecord:
            return LoadRecord(super().record().seconds[: self.seconds])

    clock = FakeClock()
    load = Silenced(clock)
    with pytest.raises(MoraError, match="Locust recorded nothing between 12:00:12 and 12:00:31 UTC"):
        run(plan, tmp_path / "a", clock=clock, load=load)
    load.seconds = 20
    run(plan, tmp_path / "b", clock=clock, load=load)
    for card in read_cards("frontend", tmp_path / "b").values():
        assert re.match(r"Locust's record ends 1\d(\.\d)?s before the window does", card["warnings"][0])


def test_rates_that_include_a_part_of_the_ramp_are_a_warning(tmp_path: Path) -> None:
    run(make_plan(tmp_path, PLAN.replace('settle = "10s"', 'settle = "4s"')), tmp_path / "data")
    for card in read_cards("frontend", tmp_path / "data").values():
        assert "the rate window is 10s, and the plan settles for 4s" in card["warnings"][0]


def test_a_full_disk_ends_the_run_with_a_message_and_finished_experiments_stay(
    plan: Plan, tiny_disk: Path, tmp_path: Path
) -> None:
    cluster = FakeCluster({"cartservice": 1, "frontend": 4})
    with pytest.raises(MoraError, match=r"Cannot write .*: No space left on device\.\nFree some space"):
        run(plan, tiny_disk / "data", cluster=cluster)
    assert cluster.replicas == {"cartservice": 1, "frontend": 4}
    finished = read_dataset("frontend", tiny_disk / "data")["experiment_id"].nunique()
    assert 1 <= finished < 8
    assert not list(tiny_disk.rglob("*.tmp"))
    shutil.copytree(tiny_disk / "data", tmp_path / "data")
    report = run(plan, tmp_path / "data", resume=True)
    assert len(report.skipped) == finished
    assert len(read_dataset("frontend", tmp_path / "data")) == 8 * 20


def test_an_overloaded_shop_on_this_machine_is_data(tmp_path: Path) -> None:
    clock = FakeClock()
    run(make_plan(tmp_path, PLAN + REMOTE), tmp_path / "data", clock=clock, load=FakeLoad(clock, fails=2))
    assert read_dataset("frontend", tmp_path / "data")["error_ratio"].max() == pytest.approx(0.5)


def test_a_load_on_another_machine_needs_yes_and_limits(tmp_path: Path) -> None:
    remote = "http://shop.example:8080"
    with pytest.raises(BadInput, match="--yes"):
        run(make_plan(tmp_path, PLAN + REMOTE), tmp_path / "data", load_url=remote)
    with pytest.raises(BadConfig, match=r"small\.toml: remote"):
        run(make_plan(tmp_path, PLAN), tmp_path / "data", load_url=remote, allow_remote=True)


def test_a_load_on_another_machine_stops_at_the_error_ratio_and_the_duration_of_the_plan(tmp_path: Path) -> None:
    options: dict[str, Any] = {"load_url": "http://shop.example:8080", "allow_remote": True}
    clock = FakeClock()
    with pytest.raises(MoraError, match="50% of the requests failed"):
        run(make_plan(tmp_path, PLAN + REMOTE), tmp_path / "a", clock=clock, load=FakeLoad(clock, fails=2), **options)
    short = make_plan(tmp_path, PLAN + REMOTE.replace("1h", "2m"))
    with pytest.raises(MoraError, match=r"stopped after 0:02:00"):
        run(short, tmp_path / "b", **options)
    assert len(read_cards("frontend", tmp_path / "b")) == 3


def test_wrong_arguments_are_refused_before_anything_is_changed(plan: Plan, tmp_path: Path) -> None:
    cluster = FakeCluster()
    with pytest.raises(BadInput, match="The load goes to 'web', which is not one of the measured services"):
        run(plan, tmp_path / "data", cluster=cluster, entry_service="web")
    with pytest.raises(BadConfig, match=r"targets: 'web' is not one of the measured services"):
        run(make_plan(tmp_path, PLAN + 'targets = ["web"]\n'), tmp_path / "data", cluster=cluster)
    with pytest.raises(BadInput, match="is not an http or https URL"):
        run(plan, tmp_path / "data", cluster=cluster, load_url="shop")
    assert cluster.calls == []


def test_a_target_with_an_autoscaler_is_refused(plan: Plan, tmp_path: Path) -> None:
    class Scaled(FakeCluster):
        def allocation(self, workload: Workload) -> Allocation:
            hpa = Autoscaler("shop-hpa", Target.CPU, True, 70, 1, 5)
            return Allocation(2, super().allocation(workload).containers, hpa)

    with pytest.raises(BadInput, match="The autoscaler shop-hpa scales cartservice and would undo"):
        run(plan, tmp_path / "data", cluster=Scaled())


def test_progress_only_grows_and_names_the_time_left(plan: Plan, tmp_path: Path) -> None:
    notes = Notes()
    run(plan, tmp_path / "data", reporter=notes)
    done = [done for done, _, _ in notes.lines]
    assert done == sorted(done)
    assert all(0 <= done <= total == 8 for done, total, _ in notes.lines)
    assert "m left" in notes.lines[0][2]


def test_a_cell_is_measured_as_long_as_it_says(tmp_path: Path) -> None:
    cells = """
duration = "20s"
[[cells]]
scenario = "quiet.py"
replicas = 1
users = 5
[[cells]]
scenario = "quiet.py"
replicas = 2
users = 5
duration = "12s"
"""
    run(make_plan(tmp_path, cells), tmp_path / "data")
    assert read_dataset("frontend", tmp_path / "data")["replica_count"].value_counts().to_dict() == {1: 20, 2: 12}


def test_a_ledger_that_was_edited_is_refused(plan: Plan, tmp_path: Path) -> None:
    report = run(plan, tmp_path / "data")
    ledger = tmp_path / "data/.runs" / f"{report.run_id}.json"
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"surprise": 1}))
    with pytest.raises(MoraError, match="is not the ledger of a run"):
        run(plan, tmp_path / "data", resume=True)


# --- contended windows -----------------------------------------------------------------------------------------------


def test_a_contended_window_is_driven_again_and_the_quiet_one_is_written(plan: Plan, tmp_path: Path) -> None:
    notes, host = Notes(), FakeHost(2, 3)
    report = run(plan, tmp_path / "data", host=host, reporter=notes)
    assert (report.repeated, report.contended, report.incomplete) == (2, {}, {})
    assert host.windows == 8 + 2
    assert len(report.written) == 8
    cards = read_cards("frontend", tmp_path / "data").values()
    assert not any(card["contention"]["is_contended"] for card in cards)
    pauses = [note for _, _, note in notes.lines if "contended (the hypervisor took 50% of the CPU)" in note]
    assert ["again in 5s" in pauses[0], "again in 10s" in pauses[1]] == [True, True]


def test_what_stays_contended_is_kept_and_flagged_with_the_figures_and_no_model_learns_from_it(
    plan: Plan, tmp_path: Path
) -> None:
    report = run(plan, tmp_path / "data", host=FakeHost(1, 2), patience=timedelta())
    first, second = report.written[:2]
    assert report.repeated == 0
    assert report.contended == dict.fromkeys((first, second), ("the hypervisor took 50% of the CPU",))
    assert report.incomplete == {}
    for service in ("cartservice", "frontend"):
        card = read_cards(service, tmp_path / "data")[first.replace("frontend", service)]
        assert card["quality"]["flags"] == ["contended: the hypervisor took 50% of the CPU"]
        assert card["contention"]["steal_cores"] == 1.0
        frame = read_dataset(service, tmp_path / "data")
        assert frame["experiment_id"].nunique() == 6
        assert read_dataset(service, tmp_path / "data", include_flagged=True)["experiment_id"].nunique() == 8


def test_patience_ends(plan: Plan, tmp_path: Path) -> None:
    clock = FakeClock()
    began = clock.now()
    host = FakeHost(*range(1, 1000))
    report = run(plan, tmp_path / "data", host=host, clock=clock, patience=timedelta(minutes=3))
    assert len(report.contended) == 8
    assert report.repeated == host.windows - 8 >= 3
    # The plan itself takes 8 x 36 s at most.
    assert (clock.now() - began) < timedelta(minutes=3) + 8 * timedelta(seconds=36)


def test_replicas_are_restored_where_a_run_is_stopped_between_two_tries(plan: Plan, tmp_path: Path) -> None:
    class Stopped(FakeClock):
        def sleep(self, seconds: float) -> None:
            if seconds == 5:  # the first pause
                raise KeyboardInterrupt
            super().sleep(seconds)

    cluster = FakeCluster()
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "data", cluster=cluster, clock=Stopped(), host=FakeHost(1))
    assert cluster.replicas == FakeCluster().replicas
    assert list_services(tmp_path / "data") == []
    assert len(run(plan, tmp_path / "data", resume=True).written) == 8


def test_resume_drives_what_was_contended_again(plan: Plan, tmp_path: Path) -> None:
    first = run(plan, tmp_path / "data", host=FakeHost(1, 5), patience=timedelta())
    assert len(first.contended) == 2
    again = run(plan, tmp_path / "data", host=FakeHost(), resume=True)
    assert set(again.written) == set(first.contended)
    assert (len(again.skipped), again.contended) == (6, {})
    assert read_dataset("frontend", tmp_path / "data")["experiment_id"].nunique() == 8
