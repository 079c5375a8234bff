"""One road: workloads are asked for; what is known of them is found, used and named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora import pipeline
from mora.config import load_settings
from mora.domain import Allocation, Recommendation, Resources, Window, Workload, WorkloadHistory, WorkloadState
from mora.errors import BadInput, BadModel, ClusterError, MoraError, NotEnoughData
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.pipeline import Request, recommending
from mora.settings import PrometheusSettings, Settings
from tests.fleet.making import container_history, history, state, steady

FRONTEND = Workload("default", "frontend")
WATCHED = Workload("default", "watched")


@pytest.fixture(scope="module")
def home(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of load experiments (frontend)."""
    return shutil.copytree(trained_home, tmp_path_factory.mktemp("home"), dirs_exist_ok=True)


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of that folder, without a Prometheus."""
    return load_settings({"data_dir": home / "data", "models_dir": home / "models"}, {}, home)


@dataclass
class Cluster:
    """A Prometheus that knows these workloads, and counts how often it is asked."""

    known: list[WorkloadState] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def states(self, namespace: str | None) -> list[WorkloadState]:
        self.asked.append("states")
        return [one for one in self.known if namespace in (None, one.workload.namespace)]

    def histories(
        self, states: Sequence[WorkloadState], window: Window, *, reporter: object = None
    ) -> Iterator[WorkloadHistory]:
        self.asked.append("histories")
        for one in states:
            names = [container.name for container in one.allocation.containers]
            yield history(*(container_history(name, cpu_cores=steady(0.05)) for name in names), workload=one.workload)


def running(workload: Workload, settings: Settings | None = None) -> WorkloadState:
    """The workload as it runs: as its model measured it, where there is one."""
    if settings is None:
        return replace(state(), workload=workload)
    model = pipeline.load_model(workload.name, models_dir=settings.models_dir)
    return state(workload=workload, allocation=replace(pipeline.measured_allocation(model), replicas=2))


def ask(
    settings: Settings, cluster: Cluster | None, monkeypatch: pytest.MonkeyPatch, *names: str, **options: Any
) -> dict[str, Recommendation]:
    """Workload -> advice. cluster: the Prometheus that is configured, or found; None fails who looks for one."""

    def open_fleet(*_: object, **__: object) -> Cluster:
        if cluster is None:
            raise ClusterError("There is no usable kubeconfig.", hint="Point $KUBECONFIG at one.")
        return cluster

    monkeypatch.setattr(recommending, "open_fleet", open_fleet)
    request = Request(names=names, **({"use_kubernetes": False} | options))
    return {one.workload.name: one for one in pipeline.recommend_workloads(request, settings).recommendations}


def with_prometheus(settings: Settings) -> Settings:
    return replace(settings, prometheus=PrometheusSettings("http://127.0.0.1:9"))


def codes(advice: Recommendation) -> list[str]:
    return [reason.code for reason in advice.reasons]


# --- what is used ----------------------------------------------------------------------------------------------------


def test_without_a_prometheus_the_model_answers_says_so_and_nothing_is_dialled(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = ask(settings, None, monkeypatch, "frontend", use_kubernetes=True)["frontend"]
    assert (advice.basis, "no-prometheus" in codes(advice)) == ("model", True)
    assert advice.model_as_of is not None


@pytest.mark.parametrize("name", ["frontend", "deployment/frontend", "default/frontend"])
def test_a_name_means_the_same_model_however_it_is_written(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(settings, None, monkeypatch, name)["frontend"].basis == "model"


def test_a_configured_prometheus_is_used_beside_the_model(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([running(FRONTEND, settings)])
    advice = ask(with_prometheus(settings), cluster, monkeypatch, "frontend")["frontend"]
    assert (advice.basis, advice.load is not None) == ("both", True)
    assert advice.main.evidence is not None
    assert "no-prometheus" not in codes(advice)


@pytest.fixture
def without_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("without_kubeconfig")
def test_without_any_kubeconfig_prometheus_alone_is_read_with_a_notice_and_a_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([running(Workload("default", "cart"))])
    monkeypatch.setattr(recommending, "open_fleet", lambda *_, **__: cluster)
    notes: list[str] = []
    request = Request(everything=True)
    advice = pipeline.recommend_workloads(request, with_prometheus(settings), say=notes.append).recommendations
    assert ["no-kubeconfig" in codes(one) for one in advice] == [True]
    assert any("There is no kubeconfig" in note and "$KUBECONFIG" in note for note in notes)


@pytest.mark.usefixtures("without_kubeconfig")
def test_a_kubeconfig_that_is_named_and_missing_stays_an_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(ClusterError, match="does not exist"):
        ask(with_prometheus(settings), Cluster(), monkeypatch, everything=True, use_kubernetes=True)


@pytest.mark.usefixtures("without_kubeconfig")
def test_a_comparison_with_the_cluster_needs_a_kubeconfig(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="no usable kubeconfig"):
        ask(
            with_prometheus(settings), Cluster(), monkeypatch, everything=True, use_kubernetes=True, target="kubernetes"
        )


def test_what_is_left_out_is_not_used(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([running(FRONTEND, settings)])
    configured = with_prometheus(settings)
    assert ask(configured, cluster, monkeypatch, "frontend", use_model=False)["frontend"].basis == "history"
    cluster.asked.clear()
    by_model = ask(configured, cluster, monkeypatch, "frontend", use_history=False)["frontend"]
    assert (by_model.basis, cluster.asked, "no-prometheus" in codes(by_model)) == ("model", [], False)


def test_a_workload_without_a_model_is_sized_from_history(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cart = Workload("default", "cart")
    cluster = Cluster([running(cart), running(FRONTEND, settings)])
    advice = ask(with_prometheus(settings), cluster, monkeypatch, everything=True)
    assert {name: one.basis for name, one in advice.items()} == {"cart": "history", "frontend": "both"}


def test_a_workload_that_runs_nowhere_is_answered_by_its_model_with_a_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([running(Workload("default", "cart"))])
    advice = ask(with_prometheus(settings), cluster, monkeypatch, "frontend", "cart")
    assert (advice["frontend"].basis, advice["cart"].basis) == ("model", "history")
    assert codes(advice["frontend"])[0] == "not-running"


def test_a_model_that_does_not_fit_what_runs_leaves_the_history_with_a_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = running(FRONTEND, settings)
    changed = replace(now.allocation.containers[0], resources=Resources(cpu_limit_millicores=9000))
    cluster = Cluster([replace(now, allocation=replace(now.allocation, containers=(changed,)))])
    advice = ask(with_prometheus(settings), cluster, monkeypatch, "frontend")["frontend"]
    assert (advice.basis, "model-not-used" in codes(advice)) == ("history", True)


# --- a load ----------------------------------------------------------------------------------------------------------


def test_a_load_is_answered_by_the_model_whatever_else_is_known(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([running(FRONTEND, settings)])
    advice = ask(with_prometheus(settings), cluster, monkeypatch, "frontend", users=10, scenario="checkout")["frontend"]
    assert advice.load is not None
    assert (advice.load.users, advice.load.scenario, advice.basis) == (10, "checkout", "both")


def test_a_load_beyond_what_was_driven_is_not_answered_from_history(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([running(FRONTEND, settings), running(Workload("default", "cart"))])
    with pytest.raises(NotEnoughData, match=r"no number for 'frontend' at this load: 100000 users .* than 1.5x"):
        ask(with_prometheus(settings), cluster, monkeypatch, "frontend", users=100_000)
    advice = ask(with_prometheus(settings), cluster, monkeypatch, everything=True, users=100_000)["frontend"]
    assert advice.main.cpu_request.value is None
    assert "more than 1.5x the highest load driven" in advice.reasons[0].text


def test_a_load_of_a_workload_without_experiments_is_refused_and_among_many_a_row(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cart = running(Workload("default", "cart"))
    cluster = Cluster([cart, running(FRONTEND, settings)])
    with pytest.raises(BadInput, match="there is no model of 'cart' that has any") as refused:
        ask(with_prometheus(settings), cluster, monkeypatch, "cart", users=10)
    assert "mora collect" in str(refused.value)
    advice = ask(with_prometheus(settings), cluster, monkeypatch, everything=True, users=10)
    assert (advice["frontend"].basis, advice["cart"].basis) == ("both", "none")
    assert advice["cart"].main.cpu_request.value is None
    assert "not-answered" in codes(advice["cart"])


# --- nothing is known ------------------------------------------------------------------------------------------------


NO_PROMETHEUS = "No Prometheus is configured, and the cluster's own is not found"


@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        (["nope"], {}, BadModel, "There is no model of 'nope' in {models}/nope, and no Prometheus is configured"),
        (["nope"], {"use_history": False}, BadModel, "There is no model of 'nope' in {models}/nope."),
        (["statefulset/frontend"], {"use_history": False}, BadModel, "is of a Deployment, not of a StatefulSet"),
        (["shop/nope"], {}, ClusterError, "There is no model of shop/nope in {models}. " + NO_PROMETHEUS),
        (["frontend"], {"use_model": False}, ClusterError, NO_PROMETHEUS),
        ([], {"selector": "app=shop", "use_history": False}, BadInput, "Models have no labels"),
    ],
)
def test_where_nothing_is_known_the_error_says_where_was_looked(
    names: list[str],
    options: dict[str, Any],
    error: type[MoraError],
    words: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(error) as raised:
        ask(settings, None, monkeypatch, *names, use_kubernetes=True, **options)
    assert words.format(models=settings.models_dir) in raised.value.message
    assert raised.value.hint


def test_a_name_with_a_typo_gets_the_nearest_model(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadModel) as raised:
        ask(settings, None, monkeypatch, "fronted")
    assert raised.value.hint == "Did you mean frontend?"


def test_without_any_model_all_of_a_namespace_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = load_settings({"models_dir": tmp_path / "models", "namespace": "shop"}, {}, tmp_path)
    with pytest.raises(NotEnoughData, match="models/shop, and no Prometheus is configured"):
        ask(empty, None, monkeypatch, everything=True)


# --- what is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "is_read"),
    [
        (Request(names=("frontend",)), False),
        (Request(everything=True), False),
        (Request(names=("deployment/frontend",)), False),
        (Request(names=("deployment/cart",)), True),
        (Request(names=("shop/cart",)), True),
        (Request(names=("cart",)), False),
        (Request(names=("frontend",), target="kubernetes"), False),
        (Request(names=("frontend",), use_model=False), True),
        (Request(all_namespaces=True), True),
        (Request(selector="a=b"), True),
        (Request(names=("frontend",), excluded=("2026-11-01/2026-11-02",)), True),
        (Request(all_namespaces=True, use_history=False), False),
    ],
)
def test_without_a_configured_prometheus_the_cluster_is_asked_only_where_the_question_needs_it(
    request_: Request, is_read: bool, settings: Settings
) -> None:
    assert request_.reads_history(settings) is is_read


@pytest.mark.parametrize("place", ["flag", "variable", "file"])
def test_a_prometheus_is_configured_by_flag_variable_or_file_alike(place: str, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"
    if place == "file":
        (tmp_path / "mora.toml").write_text(f'[prometheus]\nurl = "{url}"\n', encoding="utf-8")
    environ = {"MORA_PROMETHEUS_URL": url} if place == "variable" else {}
    found = load_settings({"prometheus_url": url if place == "flag" else None}, environ, tmp_path)
    assert Request(names=("frontend",)).reads_history(found)
    assert not Request(names=("frontend",), use_history=False).reads_history(found)


def test_a_named_history_asks_the_cluster_for_its_prometheus(tmp_path: Path) -> None:
    assert Request(names=("frontend",)).reads_history(load_settings({"history": "7d"}, {}, tmp_path))
    assert not Request(names=("frontend",)).reads_history(load_settings({}, {"MORA_HISTORY": "7d"}, tmp_path))


def test_a_name_with_its_namespace_says_where_to_look(tmp_path: Path) -> None:
    plain, named = load_settings({}, {}, tmp_path), load_settings({"namespace": "bank"}, {}, tmp_path)
    assert Request(names=("shop/frontend", "shop/cart")).namespace(plain) == "shop"
    assert Request(names=("shop/frontend", "bank/ledger")).namespace(plain) is None
    assert Request(names=("shop/frontend", "deploy/cart")).namespace(plain) is None
    assert Request(names=("deploy/cart",)).namespace(plain) == "default"
    assert Request(names=("shop/frontend",)).namespace(named) == "bank"
    assert Request(all_namespaces=True).namespace(plain) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(), "Which workloads"),
        (Request(names=("a",), everything=True), "all are asked for"),
        (Request(names=("a",), use_model=False, use_history=False), "nothing is left to answer from"),
        (Request(names=("a",), use_model=False, users=5), "answered by models alone"),
        (Request(names=("a",), use_history=False, excluded=("x",)), "there is none with --no-history"),
        (Request(names=("a",), target="kubernetes", use_kubernetes=False), "--no-kubernetes leaves it out"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(request_: Request, words: str, settings: Settings) -> None:
    with pytest.raises(BadInput, match=words):
        request_.check(settings)


def test_all_namespaces_and_one_of_them_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="-n names one"):
        Request(all_namespaces=True).check(load_settings({"namespace": "shop"}, {}, tmp_path))


def test_an_override_that_matches_no_workload_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mora.toml").write_text('[workloads."default/fronted"]\nskip = true\n', encoding="utf-8")
    misspelt = load_settings({"models_dir": settings.models_dir, "prometheus_url": "http://127.0.0.1:9"}, {}, tmp_path)
    cluster = Cluster([running(FRONTEND, settings)])
    monkeypatch.setattr(recommending, "open_fleet", lambda *_, **__: cluster)
    notes: list[str] = []
    pipeline.recommend_workloads(Request(everything=True, use_kubernetes=False), misspelt, say=notes.append)
    assert notes == ['[workloads."default/fronted"] in mora.toml matches no workload.']


def test_a_trained_model_sizes_the_main_container_beside_the_history(settings: Settings) -> None:
    model = pipeline.load_model("frontend", models_dir=settings.models_dir)
    measured = pipeline.measured_allocation(model)
    of = state(workload=model.workload, allocation=replace(measured, replicas=2))
    names = [container.name for container in measured.containers]
    seen = history(*(container_history(name, cpu_cores=steady(0.001)) for name in names), workload=model.workload)

    def advised(fleet: FleetSettings, allocation: Allocation) -> Recommendation:
        answer = pipeline.trained_demand(settings.models_dir, settings.data_dir, fleet)
        (advice,) = stream([replace(of, allocation=allocation)], [seen], seen.window, fleet, ask=answer)
        return advice

    used = advised(FleetSettings(), of.allocation)
    assert (used.basis, used.model_digest) == ("both", model.digest)
    assert used.load is not None
    assert used.replicas.value is not None  # which history alone never gives
    # Never below what the cluster used, here in memory.
    assert (used.main.memory_request.value or 0) >= np.nanmax(seen.containers[names[0]].mem_bytes)
    other_limits = replace(measured.containers[0], resources=Resources(cpu_limit_millicores=9000))
    changed = advised(FleetSettings(), replace(of.allocation, containers=(other_limits,)))
    assert (changed.basis, changed.model_digest) == ("history", None)
    assert [reason.code for reason in changed.reasons].count("model-not-used") == 1


def test_a_named_cluster_asks_for_the_prometheus_that_has_several(tmp_path: Path) -> None:
    assert Request(names=("frontend",)).reads_history(load_settings({"prometheus_cluster": "eu"}, {}, tmp_path))
    found = load_settings({}, {"MORA_PROMETHEUS_CLUSTER": "eu"}, tmp_path)
    assert not Request(names=("frontend",)).reads_history(found)
