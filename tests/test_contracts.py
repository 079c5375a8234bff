"""Every registered name keeps the contract of its seam.

The suites are those of mora.testing; what is asserted here beside them is of MOrA's own. A name without an example
fails: whoever registers something adds how it is built.
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

import pytest

from mora import dataset, registry
from mora.domain import Allocation, Recommendation, Window, Workload
from mora.errors import MoraError
from mora.outputs import OutputSettings
from mora.seams import Cluster, Forecaster, MetricSource, Output, Policy
from mora.testing import OutputContract, PolicyContract, SourceContract, SourceStage
from mora.testing.outputs import assert_is_clean_text
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
def gcp_source(folder: Path) -> Iterator[Stage]:
    from tests.sources.gcp.monitoring import Monitoring, service_account, serving
    from tests.sources.gcp.shop import shop

    end = datetime.fromtimestamp(time.time() // 300 * 300, UTC)  # services() looks at the last hour
    with serving(Monitoring(shop(start=end - timedelta(hours=2)))) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(folder, server.token_address)))
        window = Window(end - timedelta(minutes=20), end, timedelta(minutes=5))
        source = registry.load("sources", "gcp")(endpoint=server.address)
        yield Stage(source, Workload("shop", "frontend"), window)


@contextmanager
def aws_source(folder: Path) -> Iterator[Stage]:
    from tests.sources.aws.rig import STEP as EVERY
    from tests.sources.aws.rig import Pod, aws_server, cluster_point, last_steps, pod_points

    times = last_steps(4)
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 4}, {"web": [50.0] * 4})
    with aws_server() as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        points = pod_points(pod, times, cluster="contracts")
        aws.put("ContainerInsights", [cluster_point(times[-1], cluster="contracts"), *points])
        window = Window(times[0] + EVERY, times[-1] + EVERY, EVERY)
        yield Stage(registry.load("sources", "aws")("contracts"), Workload("shop", "web"), window)


@contextmanager
def azure_source(folder: Path) -> Iterator[Stage]:
    from tests.sources.azure.monitor import CLUSTER as AKS
    from tests.sources.azure.monitor import STEP as EVERY
    from tests.sources.azure.monitor import azure_server, last_end

    with azure_server(folder) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environment().items():
            patch.setenv(name, value)
        window = Window(last_end() - 3 * EVERY, last_end(), EVERY)
        yield Stage(registry.load("sources", "azure")(AKS, endpoint=azure.url), Workload("shop", "web"), window)


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

    handle = sandbox.start(name=f"contracts-{os.getpid()}", owner_pid=os.getpid(), await_metrics=False)
    try:
        yield Stage(registry.load("clusters", "sandbox")(handle), Workload(handle.namespace, handle.entry_service))
    finally:
        handle.down()


STAGES: dict[str, dict[str, Callable[[Path], AbstractContextManager[Stage]]]] = {
    "sources": {
        **{"csv": csv_source, "prometheus": prometheus_source},
        **{"gcp": gcp_source, "aws": aws_source, "azure": azure_source},
    },
    "clusters": {"kubernetes": kubernetes_cluster, "sandbox": sandbox_cluster},
}
# What stands for itself: built without arguments, or a function.
PLAIN = ("forecasters", "policies", "outputs")
# Tested beside their room: tests/backtest/test_contract.py, tests/testing/test_detectors.py.
# Ways of learning: tests/model/test_contestant.py. Forecasts of the running hour: tests/model/test_hours.py.
# The forms of repositories have tests of their own, each with a repository that builds before and after (tests/repo).
ELSEWHERE = ("replay_policies", "detectors", "thresholds", "repo_forms", "contestants", "hour_forecasts")
PROTOCOLS: dict[str, type] = {"sources": MetricSource, "clusters": Cluster, "forecasters": Forecaster}


def test_every_seam_has_its_contract_and_every_name_its_example() -> None:
    assert set(registry.REGISTRY) == {*STAGES, *PLAIN, *ELSEWHERE}
    for seam, stages in STAGES.items():
        assert set(stages) == set(registry.names(seam)), f"add how the {seam} are built to tests/test_contracts.py"


METHODS = [
    (seam, name, method)
    for seam, protocol in PROTOCOLS.items()
    for name in registry.names(seam)
    for method in vars(protocol)
    if inspect.isfunction(getattr(protocol, method)) and not method.startswith("_")
]


@pytest.mark.parametrize(("seam", "name", "method"), METHODS)
def test_every_method_can_be_called_as_in_its_protocol(seam: str, name: str, method: str) -> None:
    required = inspect.signature(getattr(PROTOCOLS[seam], method)).parameters
    given = inspect.signature(getattr(registry.load(seam, name), method)).parameters
    assert list(given)[: len(required)] == list(required)
    for parameter in required.values():
        assert given[parameter.name].kind is parameter.kind
    extra = [parameter for key, parameter in given.items() if key not in required]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in extra)


# --- outputs ---------------------------------------------------------------------------------------------------------


# What an output refuses in words, and the words.
REFUSED = {
    # Its memory has no number, and CPU is not the VPA's unless it is asked to take it.
    ("vpa", examples.payment): "--vpa-cpu",
    ("vpa", examples.retargeted): "a VPA on the same resource would conflict with it",
    ("hpa", examples.nightly): "as many pods as its work needs",
    ("hpa", examples.migration): "as many pods as its work needs",
    ("keda", examples.nightly): "as many pods as its work needs",
    ("keda", examples.migration): "as many pods as its work needs",
    ("keda", examples.retargeted): "scales on another metric than CPU",
    # Charts differ in where they keep the resources of several containers.
    ("helm-values", examples.meshed): "--helm-path",
    ("helm-values", examples.canary): "--helm-path",
    # A Job's template cannot be changed.
    ("patch", examples.migration): "delete the Job and create it again",
    ("kustomize", examples.migration): "delete the Job and create it again",
    ("commands", examples.migration): "delete the Job and create it again",
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


@pytest.mark.parametrize("name", named("outputs"))
def test_an_output_without_a_number_is_words_and_no_crash(name: str) -> None:
    try:
        text = registry.load("outputs", name)([examples.unknown()])
    except MoraError as refusal:
        text = str(refusal)
    assert "12 samples, 60 are needed" in " ".join(text.split())


# --- the suites that authors of plug-ins are given ----------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names("policies"))
class TestPolicies(PolicyContract):
    @pytest.fixture
    def policy(self, name: str) -> Policy:
        made: Policy = registry.load("policies", name)
        return made


@pytest.mark.parametrize("name", registry.names("outputs"))
class TestOutputs(OutputContract):
    @pytest.fixture
    def output(self, name: str) -> Output:
        made: Output = registry.load("outputs", name)
        return made


class TestSources(SourceContract):
    @pytest.fixture(scope="class", params=registry.names("sources"))
    @classmethod
    def stage(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceStage]:
        with STAGES["sources"][request.param](tmp_path_factory.mktemp(request.param)) as made:
            assert made.window is not None
            yield SourceStage(made.subject, made.workload, made.window)


# --- clusters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named("clusters"))
def test_a_cluster_has_what_was_applied_and_names_what_it_has(name: str, tmp_path: Path) -> None:
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
