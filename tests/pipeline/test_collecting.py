"""Places to collect at: a sandbox that is started where none runs, and a plan that is run on whatever is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mora import pipeline, sandbox
from mora.errors import MoraError
from mora.harness import experiment
from mora.harness.plan import Plan
from mora.sandbox import spec, state
from tests.fakes import SHOP, FakeCluster, FakeSource


class Handle:
    """A sandbox as the pipeline meets one."""

    prometheus_url = "http://127.0.0.1:1"
    shop_url = "http://127.0.0.1:2"
    namespace = "default"
    services = ("frontend", "cartservice")
    entry_service = "frontend"
    name = "default"
    load_files = ()

    def __init__(self) -> None:
        self.is_down = False

    def down(self) -> None:
        self.is_down = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Handle, list[Any]]]:
    """Stand in for the sandboxes of this machine: those that run, and the calls that open one."""

    def prepare(*running: str) -> tuple[Handle, list[Any]]:
        handle, calls = Handle(), list[Any]()

        def opening(how: str) -> Callable[..., Handle]:
            def open_one(name: str, **options: Any) -> Handle:
                calls.append((how, name, options))
                return handle

            return open_one

        monkeypatch.setattr(state, "list_sandboxes", lambda: list(running))
        for how in ("connect", "start"):
            monkeypatch.setattr(sandbox, how, opening(how), raising=False)
        return handle, calls

    return prepare


def test_a_sandbox_that_runs_is_used_and_stays_up(opened: Callable[..., tuple[Handle, list[Any]]]) -> None:
    handle, calls = opened("default")
    with pipeline.sandbox_place() as place:
        assert sorted(workload.name for workload in place.workloads) == ["cartservice", "frontend"]
        assert (place.entry_service, place.load_url) == ("frontend", handle.shop_url)
        assert place.lasting is None
    assert calls == [("connect", "default", {})]
    assert not handle.is_down


def test_a_sandbox_is_started_where_none_runs_and_goes_down_though_the_run_fails(
    opened: Callable[..., tuple[Handle, list[Any]]],
) -> None:
    handle, calls = opened("another")
    said: list[str] = []
    with pytest.raises(MoraError), pipeline.sandbox_place(say=said.append):
        raise MoraError("The load cannot be made.")
    assert calls == [("start", "default", {"owner_pid": os.getpid(), "await_metrics": False})]
    assert said == ["Starting a sandbox for this run (default) ..."]
    assert handle.is_down


def test_a_dry_run_knows_the_services_without_a_sandbox() -> None:
    source, workloads = pipeline.sandbox_preview()
    assert [workload.name for workload in workloads] == sorted(service.name for service in spec.SERVICES)
    assert {workload.namespace for workload in workloads} == {spec.NAMESPACE}
    assert callable(source.observe)


@pytest.mark.parametrize("plan", ["quick", Plan.load("quick")])
def test_a_plan_by_name_or_as_it_is_runs_at_the_place_that_is_given(
    plan: Plan | str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def run_plan(plan: Plan, *edges: Any, **options: Any) -> str:
        asked.update(options, plan=plan, edges=edges)
        return "report"

    monkeypatch.setattr(experiment, "run_plan", run_plan)
    place = pipeline.Place(FakeCluster(), FakeSource(), SHOP, "frontend", "http://127.0.0.1:1")
    assert pipeline.collect(plan, place, data_dir=tmp_path, resume=True) == "report"  # type: ignore[comparison-overlap]  # it stands for one
    assert asked["plan"] == Plan.load("quick")
    assert asked["edges"] == (place.cluster, place.source)
    assert (asked["workloads"], asked["entry_service"], asked["load_url"]) == (SHOP, "frontend", place.load_url)
    assert (asked["resume"], asked["allow_remote"], asked["place"]) == (True, False, None)
