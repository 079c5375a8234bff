"""Workloads found and sized from end to end, from a source made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mora import scaleout
from mora.domain import (
    Allocation,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.errors import BadInput, NotEnoughData
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.pipeline import find_workload_states, fleet, recommend_fleet
from mora.seams import Reporter
from mora.settings import Settings
from tests.fleet.making import WINDOW, annotated, codes, container, histories, state, workloads


class HandMade:
    """A fleet's source made by hand."""

    def __init__(self, states: list[WorkloadState]) -> None:
        self.known = states
        self.asked = 0

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        return [one for one in self.known if namespace in (None, one.workload.namespace)]

    def histories(
        self, states: object, window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        self.asked += 1
        return (replace(one, window=window) for one in histories(self.known))


def test_workloads_are_found_and_sized_by_prometheus_alone() -> None:
    source = HandMade(workloads("shop/a", "shop/b", "bank/c"))
    found = find_workload_states(source, namespace="shop", kubernetes=False, names=["b"])
    assert [advice.workload.name for advice in recommend_fleet(found, source, WINDOW)] == ["b"]
    with pytest.raises(NotEnoughData, match="no workload in namespace 'nowhere'"):
        find_workload_states(source, namespace="nowhere", kubernetes=False)


def test_workloads_that_get_no_patch_are_listed_by_kind_with_their_pods_and_cores() -> None:
    plain = container(cpu_request_millicores=1500)
    kafka = state(plain, replicas=3, workload=Workload("shop", "kafka", "StrimziPodSet"))
    bare = [state(plain, replicas=1, workload=Workload("shop", name, "Pod")) for name in ("a", "b")]
    run = state(plain, replicas=None, workload=Workload("shop", "etl", "Workflow"))
    source = HandMade([*workloads("shop/web"), kafka, *bare, run])
    remarks: list[str] = []
    find_workload_states(source, namespace="shop", kubernetes=False, remark=remarks.append)
    assert remarks == [
        "Sized, and without a patch, since MOrA writes none for their kinds: 2 Pod (2 pods, 3 cores requested), "
        "1 StrimziPodSet (3 pods, 4.5 cores requested), 1 Workflow (up to 1.5 cores requested by each of its runs)."
    ]
    find_workload_states(source, namespace="shop", kubernetes=False, names=["web"], remark=remarks.append)
    assert len(remarks) == 1


def test_a_bad_override_is_refused_before_anything_is_asked() -> None:
    source = HandMade([state(annotations=annotated(cpu_cap="lots"))])
    with pytest.raises(BadInput, match="deployment/frontend"):
        recommend_fleet(source.known, source, WINDOW)
    assert source.asked == 0


def test_a_horizon_shorter_than_a_sample_is_refused() -> None:
    source = HandMade(workloads("shop/a"))
    with pytest.raises(BadInput, match="shorter than the 5m between samples"):
        recommend_fleet(source.known, source, WINDOW, settings=FleetSettings(horizon=timedelta(minutes=1)))


def test_a_broken_model_is_a_reason_and_the_history_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "shop" / "a"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}", encoding="utf-8")
    source = HandMade(workloads("shop/a"))
    (advice,) = recommend_fleet(source.known, source, WINDOW, models_dir=folder.parent.parent)
    assert (advice.basis, "model-not-used" in codes(advice)) == ("history", True)
    assert advice.main.cpu_request.value is not None


def test_a_workload_without_containers_and_history_is_a_guess() -> None:
    bare = state(workload=Workload("shop", "a"), allocation=Allocation(1))
    (advice,) = stream([bare], [], WINDOW, FleetSettings())
    assert (advice.main.container, "container-guessed" in codes(advice)) == ("a", True)


def test_a_worker_keeps_the_state_of_a_namespace_in_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[Path | None] = []

    def open_fleet(settings: Settings) -> HandMade:
        opened.append(settings.state_dir)
        return HandMade(workloads("shop/a"))

    monkeypatch.setattr(fleet, "open_fleet", open_fleet)
    for folder in (tmp_path, None):
        settings = Settings(state_dir=folder)
        assert fleet._size_namespace("shop", workloads("shop/a"), settings, WINDOW, FleetSettings())
    assert opened == [tmp_path / "namespaces" / "shop", None]


def test_workers_find_the_state_where_the_command_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders: list[Path | None] = []

    class Workers:
        def run(self, act: object, tasks: Iterable[tuple[str, object, Settings, object, object]]) -> Iterator[object]:
            folders.extend(settings.state_dir for _, _, settings, _, _ in tasks)
            return iter(())

    monkeypatch.setattr(scaleout, "connect", lambda address: nullcontext(Workers()))
    monkeypatch.chdir(tmp_path)
    for folder in (Path("kept"), None):
        states = workloads("shop/a")
        list(fleet.recommend_fleet_on_cluster(states, Settings(state_dir=folder), WINDOW, "tcp://127.0.0.1:1"))
    assert folders == [tmp_path / "kept", None]
