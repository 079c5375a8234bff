"""Every registered name keeps the contract of its seam: one test a promise, run on all that the registry knows.

A name without an example here fails: whoever registers something says how it is built, and is held to the same.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mora import dataset, domain, registry
from mora.domain import Allocation, Forecast, Observation, Recommendation, Target, Window, Workload
from mora.errors import MoraError
from mora.metrics import MEASURED_COLUMNS
from mora.outputs import OutputSettings
from mora.seams import Cluster, Forecaster, MetricSource
from tests import fakes_learning
from tests.outputs import examples

STEP = timedelta(seconds=15)


def named(seam: str) -> list[Any]:
    """Parameters for a test: all names of a seam; those that need minutes or a sandbox are marked slow."""
    slow = {("forecasters", "lstm"), ("clusters", "sandbox")}
    return [
        pytest.param(name, marks=pytest.mark.slow) if (seam, name) in slow else name for name in registry.names(seam)
    ]


# --- what each name is built from ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """A source or a cluster at work: the seam's object, and a workload and a window that it knows."""

    subject: Any
    workload: Workload
    window: Window | None = None


@contextmanager
def csv_source(folder: Path) -> Iterator[Stage]:
    frame, cards = fakes_learning.driven(scenarios=("browsing",), replicas=(2,), users=(20,), repeats=1)
    for experiment_id, card in cards.items():
        rows = frame[frame["experiment_id"] == experiment_id]
        dataset.write_experiment(folder, rows, {**card, "quality": {"is_complete": True, "flags": []}})
    start, end = frame["timestamp"].min().to_pydatetime(), frame["timestamp"].max().to_pydatetime()
    yield Stage(
        registry.load("sources", "csv")(folder), fakes_learning.WORKLOAD, Window(start, end, timedelta(seconds=1))
    )


@contextmanager
def prometheus_source(folder: Path) -> Iterator[Stage]:
    from tests.sources.rig import backfill, cluster, serve

    end = time.time() // 60 * 60  # services() looks at the last hours
    series = cluster({"frontend": ("server",), "cart": ("server",)}, start=end - 3600, end=end, every=15)
    with serve(backfill(series, folder)) as url:
        until = datetime.fromtimestamp(end, UTC)
        window = Window(until - timedelta(minutes=20), until - timedelta(minutes=10), STEP)
        yield Stage(registry.load("sources", "prometheus")(url), Workload("shop", "frontend"), window)


@contextmanager
def kubernetes_cluster(folder: Path) -> Iterator[Stage]:
    from tests.clusters.fake_api import FakeApi, FakeCluster

    fake = FakeCluster()
    for recommendation in (examples.frontend(), examples.unknown()):
        fake.add(examples.manifest(recommendation))
    server = FakeApi(fake)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        kubeconfig = server.kubeconfig(folder / "config")
        cluster = registry.load("clusters", "kubernetes")(kubeconfig=kubeconfig, poll=timedelta(milliseconds=5))
        yield Stage(cluster, examples.frontend().workload)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def sandbox_cluster(folder: Path) -> Iterator[Stage]:
    from mora import sandbox

    handle = sandbox.start(name=f"contracts-{os.getpid()}", owner_pid=os.getpid())
    try:
        yield Stage(registry.load("clusters", "sandbox")(handle), Workload(handle.namespace, handle.entry_service))
    finally:
        handle.down()


STAGES: dict[str, dict[str, Callable[[Path], AbstractContextManager[Stage]]]] = {
    "sources": {"csv": csv_source, "prometheus": prometheus_source},
    "clusters": {"kubernetes": kubernetes_cluster, "sandbox": sandbox_cluster},
}
# What stands for itself: built without arguments, or a function.
PLAIN = ("forecasters", "policies", "outputs")
# Held to their contract beside their room: tests/backtest/test_contract.py runs every registered rule.
ELSEWHERE = ("replay_policies",)
PROTOCOLS: dict[str, type] = {"sources": MetricSource, "clusters": Cluster, "forecasters": Forecaster}


def test_every_seam_has_its_contract_and_every_name_its_example() -> None:
    assert set(registry.REGISTRY) == {*STAGES, *PLAIN, *ELSEWHERE}
    for seam, stages in STAGES.items():
        assert set(stages) == set(registry.names(seam)), f"tell tests/test_contracts.py how the {seam} are built"


METHODS = [
    (seam, name, method)
    for seam, protocol in PROTOCOLS.items()
    for name in registry.names(seam)
    for method in vars(protocol)
    if inspect.isfunction(getattr(protocol, method)) and not method.startswith("_")
]


@pytest.mark.parametrize(("seam", "name", "method"), METHODS)
def test_every_method_can_be_called_as_its_protocol_says(seam: str, name: str, method: str) -> None:
    promised = inspect.signature(getattr(PROTOCOLS[seam], method)).parameters
    kept = inspect.signature(getattr(registry.load(seam, name), method)).parameters
    assert list(kept)[: len(promised)] == list(promised)
    for parameter in promised.values():
        assert kept[parameter.name].kind is parameter.kind
    extra = [parameter for key, parameter in kept.items() if key not in promised]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in extra)


# --- outputs ---------------------------------------------------------------------------------------------------------


# What an output refuses in words, and the words.
REFUSED = {
    # Its memory has no number, and CPU is not the VPA's unless it is asked to take it.
    ("vpa", examples.payment): "--vpa-cpu",
    ("vpa", examples.retargeted): "a VPA on the same would chase it",
    ("hpa", examples.nightly): "as many pods as its work asks for",
    ("hpa", examples.migration): "as many pods as its work asks for",
    # Charts differ in where they keep the resources of several containers.
    ("helm-values", examples.meshed): "--helm-path",
    ("helm-values", examples.canary): "--helm-path",
    # A Job's template cannot be changed.
    ("patch", examples.migration): "delete it and create it",
    ("kustomize", examples.migration): "delete it and create it",
    ("commands", examples.migration): "delete it and create it",
}


@pytest.mark.parametrize("name", named("outputs"))
@pytest.mark.parametrize(
    "example",
    [
        *(examples.frontend, examples.cart, examples.payment, examples.meshed, examples.nightly),
        *(examples.migration, examples.canary, examples.retargeted),
    ],
)
def test_an_output_is_text_that_ends_its_last_line_and_is_the_same_each_time(
    name: str, example: Callable[[], Recommendation]
) -> None:
    render = registry.load("outputs", name)
    if (name, example) in REFUSED:
        with pytest.raises(MoraError, match=REFUSED[name, example]):
            render([example()])
        return
    assert_is_clean_text(render([example()]))
    assert render((example(),)) == render([example()])


@pytest.mark.parametrize("name", named("outputs"))
def test_an_output_takes_a_fleet_at_once(name: str) -> None:
    render = registry.load("outputs", name)
    paths = {f"{w}/{c}": f"{w}.{c}.resources" for w, c in (("web", "web"), ("web", "cache"), ("web", "logs"))}
    paths |= {f"{w}/{c}": f"{w}.{c}.resources" for w, c in (("web", "migrate"), ("canary", "agent"))}
    text = render(examples.fleet(), OutputSettings(helm_paths={**paths, "canary/server": "canary.server.resources"}))
    assert_is_clean_text(text)
    assert "nightly" in text


def assert_is_clean_text(text: object) -> None:
    assert isinstance(text, str)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "nan" not in text.lower().split()
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", named("outputs"))
def test_an_output_without_a_number_is_words_and_no_crash(name: str) -> None:
    try:
        text = registry.load("outputs", name)([examples.unknown()])
    except MoraError as refusal:
        text = str(refusal)
    assert "12 samples, 60 are needed" in " ".join(text.split())


# --- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named("policies"))
def test_a_policy_answers_a_demand_with_a_recommendation_for_its_workload(name: str) -> None:
    policy = registry.load("policies", name)
    needs = domain.TargetDemand(point_forecast=0.1, bound=0.12, peak=0.13, confidence=0.9, windows=10)
    memory = domain.TargetDemand(point_forecast=2e8, bound=2.1e8, peak=2.2e8, confidence=0.9, windows=10)
    replicas = domain.TargetDemand(point_forecast=2, bound=2, peak=2, confidence=0.9, windows=10)
    as_of = datetime(2026, 11, 21, tzinfo=UTC)
    demand = domain.Demand(Workload("shop", "frontend"), None, as_of, needs, memory, replicas)
    current = Allocation(1, (domain.Container("server", is_main=True),))
    advice = policy(demand, current)
    assert isinstance(advice, Recommendation)
    assert (advice.workload, advice.main.container, advice.as_of) == (demand.workload, "server", as_of)
    assert advice == policy(demand, current)
    assert advice.main.memory_request.value is not None
    assert advice.main.memory_request.value >= 2.2e8
    nothing = policy(replace(demand, cpu=None, memory=None, replicas=None), current)
    assert nothing.main.resources == domain.Resources()
    assert all(number.reasons for number in (nothing.main.cpu_request, nothing.main.memory_request, nothing.replicas))


# --- forecasters -----------------------------------------------------------------------------------------------------

HORIZON = 10


@pytest.fixture(scope="module")
def history() -> list[pd.DataFrame]:
    frame, _ = fakes_learning.driven(scenarios=("browsing",), users=(10, 20), repeats=1)
    return [rows.reset_index(drop=True) for _, rows in frame.groupby("experiment_id", sort=True)]


@pytest.mark.parametrize("name", named("forecasters"))
def test_a_forecast_is_finite_ordered_and_repeatable(name: str, history: list[pd.DataFrame]) -> None:
    forecaster = registry.load("forecasters", name)()
    recent = history[0]
    before = recent.copy()
    forecaster.fit(history, driven=True, seed=0)
    answer = forecaster.forecast(recent, HORIZON, level=0.8)
    assert set(answer) <= set(Target)
    assert {Target.CPU, Target.MEMORY} <= set(answer)
    for target, forecast in answer.items():
        assert isinstance(forecast, Forecast)
        assert (forecast.target, forecast.forecaster, forecast.level) == (target, forecaster.name, 0.8)
        assert forecast.step == timedelta(seconds=1)
        for line in (forecast.mean, forecast.lower, forecast.upper):
            assert line.shape == (HORIZON,)
            assert np.isfinite(line).all()
        assert (forecast.lower <= forecast.upper).all()
        assert (forecast.lower >= 0).all()
    again = forecaster.forecast(recent, HORIZON, level=0.8)
    for target in answer:
        np.testing.assert_array_equal(again[target].mean, answer[target].mean)
    pd.testing.assert_frame_equal(recent, before)
    assert forecaster.name == name


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named("sources"))
def test_a_source_lists_observes_and_refuses_in_words(name: str, tmp_path: Path) -> None:
    with STAGES["sources"][name](tmp_path) as stage:
        source: MetricSource = stage.subject
        assert stage.window is not None
        services = source.services(stage.workload.namespace)
        assert services == sorted(services)
        assert stage.workload.name in services
        seen = source.observe(stage.workload, stage.window)
        assert isinstance(seen, Observation)
        assert (seen.workload, seen.window) == (stage.workload, stage.window)
        assert set(MEASURED_COLUMNS) <= set(seen.metrics.columns)
        index = seen.metrics.index
        assert isinstance(index, pd.DatetimeIndex)
        assert str(index.tz) == "UTC"
        assert index.is_monotonic_increasing
        assert index.is_unique
        assert index[0] >= stage.window.start
        assert index[-1] <= stage.window.end
        assert seen.metrics["cpu_cores_value"].notna().all()
        assert not np.isinf(seen.metrics.to_numpy(dtype=float)).any()
        assert dict(seen.queries) == dict(source.queries(stage.workload, stage.window)) != {}
        with pytest.raises(MoraError) as refused:
            source.observe(Workload(stage.workload.namespace, "nonesuch"), stage.window)
        assert "nonesuch" in str(refused.value)
        assert stage.workload.name in str(refused.value)


# --- clusters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named("clusters"))
def test_a_cluster_holds_what_was_applied_and_names_what_it_has(name: str, tmp_path: Path) -> None:
    soon = timedelta(seconds=60)
    with STAGES["clusters"][name](tmp_path) as stage:
        cluster: Cluster = stage.subject
        before = cluster.allocation(stage.workload)
        assert before.main is not None
        assert before.replicas is not None
        resources = replace(before.main.resources, cpu_limit_millicores=None, memory_request_bytes=96 * 2**20)
        resources = replace(resources, memory_limit_bytes=192 * 2**20)
        wanted = replace(before.with_main(resources), replicas=before.replicas + 1)
        cluster.apply(stage.workload, wanted)
        cluster.wait_ready([stage.workload], soon)
        assert cluster.allocation(stage.workload) == wanted
        cluster.restart([stage.workload], soon)
        assert cluster.allocation(stage.workload) == wanted
        cluster.apply(stage.workload, Allocation(replicas=before.replicas))
        cluster.wait_ready([stage.workload], soon)
        assert cluster.allocation(stage.workload) == replace(wanted, replicas=before.replicas)
        with pytest.raises(MoraError) as refused:
            cluster.allocation(Workload(stage.workload.namespace, "nonesuch"))
        assert "nonesuch" in str(refused.value)
        assert stage.workload.name in str(refused.value)
