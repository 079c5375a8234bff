"""Numbers for VPA objects from history: final ones, and only of the workloads that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora import pipeline
from mora.domain import Allocation, Recommendation, Workload, WorkloadState
from mora.errors import NotEnoughData
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from mora.seams import FleetSource
from mora.vpa.history import from_history
from tests.vpa.making import recommendation

WEB, CART = Workload("shop", "web"), Workload("shop", "cart")


class Asked:
    """The fleet's rule: keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, known: Sequence[Workload]) -> None:
        self.namespaces: list[str] = []
        self.sized: list[list[Workload]] = []
        self.options: dict[str, Any] = {}
        self.known = known
        monkeypatch.setattr(pipeline, "find_workload_states", self.find)
        monkeypatch.setattr(pipeline, "recommend_fleet", self.recommend)

    def find(self, source: FleetSource, *, namespace: str, remark: Any) -> list[WorkloadState]:
        self.namespaces.append(namespace)
        if not self.known:
            raise NotEnoughData("There is no workload in this namespace.")
        return [WorkloadState(one, Allocation()) for one in self.known]

    def recommend(
        self, states: Sequence[WorkloadState], source: FleetSource, window: Any, **options: Any
    ) -> Iterator[Recommendation]:
        self.sized.append([state.workload for state in states])
        self.options = {**options, "window": window}
        return iter([recommendation(workload=state.workload) for state in states])


SOURCE: Any = object()
STEPWISE = FleetSettings(policy=PolicySettings(cpu_buffer=1.5, min_change=0.2))


def test_only_the_workloads_asked_for_are_sized(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, known=[WEB, CART])
    advise = from_history(SOURCE, history=timedelta(days=7), settings=FleetSettings())
    assert [one.workload for one in advise([WEB, Workload("shop", "ghost")])] == [WEB]
    assert (asked.namespaces, asked.sized) == (["shop"], [[WEB]])
    window = asked.options["window"]
    assert window.end - window.start == timedelta(days=7)


def test_a_recommendation_is_the_final_number_and_every_other_setting_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = Asked(monkeypatch, known=[WEB])
    advise = from_history(SOURCE, history=timedelta(days=7), settings=STEPWISE, models_dir=tmp_path)
    list(advise([WEB]))
    policy = asked.options["settings"].policy
    assert (policy.allow_any_step, policy.min_change, policy.cpu_buffer) == (True, 0.0, 1.5)
    assert asked.options["models_dir"] == tmp_path
    # A template says nothing of what the VPA has set: staying there may be ten times as much (status.py defers).
    assert not asked.options["settings"].holds_cuts


@pytest.mark.parametrize("known", [[], [CART]])
def test_where_none_of_them_has_a_pod_nothing_is_read(monkeypatch: pytest.MonkeyPatch, known: list[Workload]) -> None:
    asked = Asked(monkeypatch, known=known)
    advise = from_history(SOURCE, history=timedelta(days=7), settings=FleetSettings())
    assert list(advise([WEB])) == []
    assert asked.sized == []
