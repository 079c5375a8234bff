"""Recommending: workloads are asked for; what is known of them is found, read and sized, and each source is named.

A trained model (models/), history (Prometheus) and the current state (Kubernetes API, sandbox) are used where they are
known. A Prometheus that is configured is read. Where none is, the cluster is asked for one only if the question needs
the cluster: its history, all its namespaces, its labels, a KIND/NAME that no model answers. A request says what to
leave out, never which way is taken.
One file, longer than most: the request and the two ways to its answer, which share what they refuse, are read together.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mora.domain import Allocation, Demand, Question, Reason, Recommendation, Window, Workload, WorkloadState
from mora.errors import BadInput, BadModel, ClusterError, MoraError, NotEnoughData, SourceUnavailable
from mora.model.catalogue import DEFAULT_NAMESPACE, list_models, load_model, model_folder
from mora.model.layout import has_model
from mora.pipeline.collecting import open_cluster
from mora.pipeline.connecting import open_fleet
from mora.pipeline.fleet import (
    NO_KUBECONFIG,
    NO_KUBECONFIG_NOTE,
    find_workload_states,
    lacks_kubeconfig,
    recommend_fleet,
    recommend_fleet_on_cluster,
)
from mora.pipeline.modelled import load_not_answered, no_load_known, question_of, recommend, trained_demand
from mora.pipeline.pooling import with_node_pools
from mora.pipeline.scaling import DemandQuestion, with_scaling
from mora.pipeline.settings import fleet_settings
from mora.pipeline.windows import fleet_window
from mora.seams import FleetSource, Reporter

if TYPE_CHECKING:
    from mora.fleet.settings import FleetSettings
    from mora.fleet.stream import Ask, Look, Modelled
    from mora.model import ServiceModel
    from mora.settings import Settings

_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
_NO_PROMETHEUS = Reason("no-prometheus", "no Prometheus is configured, so the trained model alone is used")


@dataclass(frozen=True, slots=True)
class Request:
    """Which workloads are asked for, at which load, and which sources are left out.

    names: NAME, KIND/NAME or NAMESPACE/NAME. everything: all of the namespace. selector: labels, as kubectl's -l.
    target: "sandbox" or "kubernetes", whose current state the advice is compared with. excluded: START/END of time
    ranges that are left out of the history. incidents: time ranges, and files that name incidents, which are left out
    of it with both numbers shown. keeps_past: keep what charts show of each history (-o html).
    source: where the history is read: prometheus, or a cloud, as --source names it.
    marks_abnormal: find every time in it at which a service was abnormal (-o explain, html).
    replicas: choose an autoscaler for each workload by its past demand. is_pooled: CPU requests add up to what each
    node must hold.
    """

    names: tuple[str, ...] = ()
    everything: bool = False
    all_namespaces: bool = False
    selector: str | None = None
    users: int | None = None
    scenario: str | None = None
    requests_per_second: float | None = None
    use_model: bool = True
    use_history: bool = True
    use_kubernetes: bool = True
    target: str | None = None
    sandbox: str = "default"
    excluded: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    source: str = "prometheus"
    stale_ok: bool = False
    include_flagged: bool = False
    keeps_past: bool = False
    marks_abnormal: bool = False
    replicas: DemandQuestion | None = None
    is_pooled: bool = False

    def check(self, settings: Settings) -> None:
        """Refuse what contradicts itself; BadInput says what to give instead."""
        if self.all_namespaces and settings.is_flag("namespace"):
            raise BadInput("-A is every namespace, and -n names one.", hint="Give one of them.")
        if not (self.names or self.everything or self.all_namespaces or self.selector):
            known = list_models(settings.models_dir, settings.namespace)
            models = f" There are models of {', '.join(known)}." if known else ""
            raise BadInput(
                "Which workloads?",
                hint=f"Name them (frontend, deployment/frontend), or give --all, -A, or a label selector (-l).{models}",
            )
        if self.names and (self.everything or self.all_namespaces):
            raise BadInput("Workloads are named, and all are asked for.", hint="Give names, or --all or -A.")
        if not self.use_model and not self.use_history:
            raise BadInput("Without models and history nothing is left to answer from.", hint="Drop one of them.")
        if not self.use_history and self.replicas is not None:
            raise BadInput("--replicas history reads a history, and --no-history leaves it out.", hint="Drop one.")
        if self.is_pooled and (self.names or self.selector is not None):
            raise BadInput(
                "--pool node adds up the pods of whole namespaces, and some workloads are chosen of them.",
                hint="Ask for all of a namespace (--all), or of all namespaces (-A).",
            )
        if self.is_pooled and not self.use_history:
            raise BadInput("--pool node reads a history, and --no-history leaves it out.", hint="Drop one.")
        if not self.use_history and (self.excluded or self.incidents):
            flag = "--exclude" if self.excluded else "--exclude-incidents"
            raise BadInput(f"{flag} leaves a time range out of the history, and there is none with --no-history.")
        if not self.use_history and settings.is_flag("state_dir"):
            raise BadInput(
                "--state keeps samples of the history, and --no-history leaves it out.", hint="Leave out one of them."
            )
        if self.users is not None and self.requests_per_second is not None:
            raise BadInput("A load is in users, or in requests per second; --users and --rps are both given.")
        has_load = self.scenario is not None or self.users is not None or self.requests_per_second is not None
        if not self.use_model and has_load:
            raise BadInput("--users, --rps and --scenario are answered by models alone.", hint="Leave out --no-model.")
        if self.target == "kubernetes" and not self.use_kubernetes:
            raise BadInput("--target kubernetes compares with the cluster, and --no-kubernetes leaves it out.")
        if self.is_cloud and not self.use_history:
            raise BadInput(f"--source {self.source} reads a history, and --no-history leaves it out.", hint="Drop one.")
        if self.is_cloud and settings.prometheus.url is not None and settings.is_flag("prometheus_url"):
            raise BadInput(f"--prometheus and --source {self.source} both name a source.", hint="Give one of them.")
        if self.is_cloud and settings.is_flag("train_scheduler"):
            raise BadInput(
                f"--backend dask sizes namespaces from a Prometheus, and --source is {self.source}.",
                hint="Leave out --backend and --scheduler.",
            )

    @property
    def is_cloud(self) -> bool:
        """Whether the history is read from another source than a Prometheus."""
        return self.source.partition(":")[0] != "prometheus"

    def namespace(self, settings: Settings) -> str | None:
        """The namespace that is looked at; None for all. shop/frontend names its own."""
        from mora.fleet.names import parse_name

        if self.all_namespaces:
            return None
        named = [parse_name(text).namespace for text in self.names]
        if settings.is_flag("namespace") or not any(named):
            return settings.namespace
        return named[0] if len(set(named)) == 1 else None

    def reads_history(self, settings: Settings) -> bool:
        """Whether a Prometheus is read: it is configured, or the question needs the cluster's own."""
        if not self.use_history:
            return False
        if self.is_cloud or settings.prometheus.url is not None or settings.kubernetes.cluster:
            return True
        needs_cluster = not self.use_model or self.all_namespaces or self.selector is not None
        needs_cluster = needs_cluster or bool(self.excluded or self.incidents or self.replicas or self.is_pooled)
        if needs_cluster or settings.is_flag("history") or settings.is_flag("prometheus_cluster"):
            return True
        # kubectl's way to name what runs in a cluster.
        return any("/" in text and not _models_of(text, settings) for text in self.names)

    def question(self, settings: Settings) -> Question:
        """What each workload is sized for."""
        question = question_of(settings.policy, slo=settings.slo)
        return replace(question, users=self.users, scenario=self.scenario, requests_per_second=self.requests_per_second)


@dataclass(frozen=True, slots=True)
class Advised:
    """The answer to a request. states: the workloads as they run now, where a cluster or a Prometheus knows them.

    asked: what was sent to the Prometheus, as (the API's path, the query or selector). failed: the clusters without an
    answer, and why.
    """

    recommendations: tuple[Recommendation, ...]
    states: tuple[WorkloadState, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, MoraError], ...] = ()


def recommend_workloads(
    request: Request,
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda words: None,
    reporter: Reporter | None = None,
    look: Look | None = None,
) -> Advised:
    """One recommendation for each workload that is asked for, from all that is known of it.

    say: gets what concerns no single workload. look: gets every history that is sized on this machine. A workload that
    cannot be answered raises where it is the only one; among several it is a row without numbers, with the reason.
    Raises BadInput, NotEnoughData where nothing is known, SourceUnavailable, ClusterError, StaleAnswer.
    """
    request.check(settings)
    if not request.reads_history(settings):
        if settings.is_flag("train_scheduler"):
            raise BadInput(
                "--backend dask sizes many namespaces from their history; models answer here, in a second.",
                hint="Leave it out, or ask for all namespaces: mora recommend -A --backend dask --scheduler ADDRESS",
            )
        return _from_models(request, settings, _known_models(request, settings))
    try:
        return _from_all(request, settings, say, reporter, look)
    except (SourceUnavailable, ClusterError) as error:
        is_modelled = bool(request.names) and all(_models_of(text, settings) for text in request.names)
        if not request.use_model or not is_modelled:
            raise
        also = "Or answer from the trained model alone: --no-history"
        raise type(error)(error.message, hint=f"{error.hint}\n      {also}" if error.hint else also) from error


# --- from models alone -----------------------------------------------------------------------------------------------


def _models_of(text: str, settings: Settings) -> list[tuple[str, str]]:
    """(namespace, service) of the model that a name means, where there is one."""
    from mora.fleet.names import parse_name

    named = parse_name(text)
    namespace = named.namespace or settings.namespace
    is_there = has_model(model_folder(settings.models_dir, named.name, namespace))
    return [(namespace, named.name)] if is_there else []


def _known_models(request: Request, settings: Settings) -> list[ServiceModel]:
    """The models that are asked for; NotEnoughData or BadModel says where was looked, and what to do."""
    from mora.fleet.names import parse_name

    if request.selector is not None:
        raise BadInput("Models have no labels, so -l cannot choose among them.", hint="Name the workloads, or --all.")
    if request.names:
        return [
            _model(named.name, named.namespace or settings.namespace, named.kind, request, settings)
            for named in dict.fromkeys(map(parse_name, request.names))
        ]
    namespaces = [settings.namespace]
    if request.all_namespaces and settings.models_dir.is_dir():
        folders = sorted(f.name for f in settings.models_dir.iterdir() if f.is_dir() and not f.name.startswith("."))
        namespaces = [DEFAULT_NAMESPACE, *(name for name in folders if list_models(settings.models_dir, name))]
    found = [
        load_model(name, models_dir=settings.models_dir, namespace=namespace)
        for namespace in dict.fromkeys(namespaces)
        for name in list_models(settings.models_dir, namespace)
    ]
    if not found:
        folder = settings.models_dir
        if settings.namespace != DEFAULT_NAMESPACE and not request.all_namespaces:
            folder = folder / settings.namespace
        raise NotEnoughData(
            f"There is no model in {folder}{_and_no_prometheus(request)}.",
            hint="Train one (mora train frontend), or ask a Prometheus: mora recommend --all --prometheus URL",
        )
    return found


def _model(name: str, namespace: str, kind: str | None, request: Request, settings: Settings) -> ServiceModel:
    folder = model_folder(settings.models_dir, name, namespace)
    if not folder.is_dir():
        others = list_models(settings.models_dir, namespace)
        there = f" There are models of {', '.join(others)}." if others else ""
        near = difflib.get_close_matches(name, others, n=1)
        raise BadModel(
            f"There is no model of {name!r} in {folder}{_and_no_prometheus(request)}.{there}",
            hint=f"Did you mean {near[0]}?"
            if near
            else f"Train one (mora train {name}), or read its history: mora recommend {name} --prometheus URL. "
            "--history 14d finds the Prometheus of the cluster that KUBECONFIG points at.",
        )
    model = load_model(name, models_dir=settings.models_dir, namespace=namespace)
    if kind not in (None, model.workload.kind):
        raise BadModel(
            f"The model in {folder} is of a {model.workload.kind}, not of a {kind}.",
            hint=f"Name it {model.workload.kind.lower()}/{name}.",
        )
    return model


def _and_no_prometheus(request: Request) -> str:
    return ", and no Prometheus is configured" if request.use_history else ""


def _from_models(request: Request, settings: Settings, models: Sequence[ServiceModel]) -> Advised:
    question = request.question(settings)
    remarks = (_NO_PROMETHEUS,) if request.use_history else ()
    advice = []
    for model in models:
        is_horizon_asked = not model.is_driven or settings.is_flag("horizon")
        asked = replace(question, horizon=settings.horizon if is_horizon_asked else None)
        try:
            one = _from_model(model, asked, request, settings)
        except MoraError as error:
            if len(models) == 1:
                raise
            one = _without_numbers(model.workload, None, error)
        advice.append(replace(one, reasons=(*one.reasons, *remarks)))
    return Advised(tuple(advice))


def _from_model(model: ServiceModel, question: Question, request: Request, settings: Settings) -> Recommendation:
    workload = model.workload
    if question.has_load and not model.is_driven:
        raise no_load_known(workload)
    current = None
    if request.target is not None:
        current = open_cluster(request.target, sandbox=request.sandbox).allocation(workload)
    return recommend(
        workload.name,
        question,
        data_dir=settings.data_dir,
        models_dir=settings.models_dir,
        namespace=workload.namespace,
        policy=settings.policy,
        current=current,
        stale_ok=request.stale_ok,
        include_flagged=request.include_flagged,
        model=model,
    )


def _without_numbers(workload: Workload, current: Allocation | None, error: MoraError) -> Recommendation:
    """The row of a workload that cannot be answered, with the reason."""
    from mora import policies

    text = f"{error.message} {error.hint}" if error.hint else error.message
    asked = Demand(workload, None, _UNKNOWN_TIME, None, None, None, reasons=(Reason("not-answered", text),))
    advice = policies.recommend(asked, current or Allocation(None, ()), policies.PolicySettings())
    return replace(advice, basis="none")


# --- from history and models -----------------------------------------------------------------------------------------


def _from_all(
    request: Request,
    settings: Settings,
    say: Callable[[str], None],
    reporter: Reporter | None,
    look: Look | None,
) -> Advised:
    from mora.fleet.incidents import without_effect
    from mora.fleet.names import choose, parse_name
    from mora.fleet.stream import no_models

    fleet = fleet_settings(
        settings,
        excluded=request.excluded,
        incidents=request.incidents,
        keeps_past=request.keeps_past,
        marks_abnormal=request.marks_abnormal,
    )
    uses_kubernetes = request.use_kubernetes and request.target != "sandbox"
    is_source_alone = uses_kubernetes and lacks_kubeconfig(settings, request.target, is_named=request.is_cloud)
    called = request.source.partition(":")[0] if request.is_cloud else "Prometheus"
    source = _open(request, settings, say)
    if is_source_alone:
        say(NO_KUBECONFIG_NOTE.format(source=called))
    uses_kubernetes = uses_kubernetes and not is_source_alone
    namespace = request.namespace(settings)
    found = find_workload_states(
        source,
        namespace=namespace,
        selector=request.selector,
        kubernetes=uses_kubernetes,
        known_by=called,
        access=settings.kubernetes,
        remark=say,
    )
    # What runs nowhere may still have been measured.
    measured_only = [
        text
        for text in request.names
        if request.use_model
        and not any(parse_name(text).matches(state.workload) for state in found)
        and _models_of(text, settings)
    ]
    names = [text for text in request.names if text not in measured_only]
    states = choose(found, names) if names or not request.names else []
    states = [_in_sandbox(state, request) for state in states]
    if not request.names and request.selector is None:
        _name_unmatched(settings, states, namespace, say)
    question = request.question(settings)
    ask: Ask = no_models
    if request.use_model:
        ask = trained_demand(
            settings.models_dir,
            settings.data_dir,
            fleet,
            question=question,
            stale_ok=request.stale_ok,
            include_flagged=request.include_flagged,
        )
    window = fleet_window(settings.history)
    idle = without_effect(fleet.incidents, [state.workload for state in states], window)
    if idle is not None:
        say(idle)
    refused: list[Recommendation] = []
    if question.has_load:
        states, refused, ask = _with_load(states, ask, is_alone=len(states) + len(measured_only) == 1)
    if request.is_cloud and settings.train.scheduler is not None:
        say(f"Workers read from a Prometheus, and the source is {called}: this machine does it.")
        settings = replace(settings, train=replace(settings.train, scheduler=None))
    sized = _sized(states, source, window, settings, fleet=fleet, ask=ask, say=say, reporter=reporter, look=look)
    if request.is_pooled:
        sized = with_node_pools(sized, states, source, window, fleet, say=say)
    if request.replicas is not None:
        sized = with_scaling(sized, source, window, request.replicas, settings.policy, reporter=reporter)
    advice = [*refused, *sized]
    if is_source_alone:
        advice = [replace(one, reasons=(*one.reasons, NO_KUBECONFIG)) for one in advice]
    if measured_only:
        also = replace(request, names=tuple(measured_only))
        where = "in any namespace" if namespace is None else f"in namespace {namespace}"
        remark = Reason("not-running", f"there is no such workload {where}: the trained model alone is used")
        answered = _from_models(replace(also, use_history=False), settings, _known_models(also, settings))
        advice += [replace(one, reasons=(remark, *one.reasons)) for one in answered.recommendations]
    advice = sorted(_warned_once(advice, source, say), key=lambda one: one.workload)
    return Advised(tuple(advice), tuple(states), asked=getattr(source, "asked", ()))


def _open(request: Request, settings: Settings, say: Callable[[str], None]) -> FleetSource:
    """The Prometheus that is read; where none is configured or found, the error says what else was looked for."""
    try:
        return open_fleet(settings, named=request.source, discover=request.use_kubernetes, say=say)
    except ClusterError as error:
        missing = [text for text in request.names if not _models_of(text, settings)]
        looked = f"There is no model of {', '.join(missing)} in {settings.models_dir}. " if missing else ""
        also = f"Or name a Prometheus: --prometheus URL. {error.hint or ''}".rstrip()
        words = f"{looked}No Prometheus is configured, and the cluster's own is not found. {error.message}"
        raise ClusterError(words, hint=also) from error


def _in_sandbox(state: WorkloadState, request: Request) -> WorkloadState:
    if request.target != "sandbox":
        return state
    return replace(state, allocation=open_cluster("sandbox", sandbox=request.sandbox).allocation(state.workload))


def _with_load(
    states: Sequence[WorkloadState], ask: Ask, *, is_alone: bool
) -> tuple[list[WorkloadState], list[Recommendation], Ask]:
    """The workloads whose model answers the load, rows for the others, and the answers."""
    answers: dict[Workload, Modelled] = {}
    refused = []
    for state in states:
        answer = ask(state)
        demand = answer.demand
        # Numbers of the history alone would be no answer to the load.
        if demand is not None and (demand.cpu is not None or demand.memory is not None):
            answers[state.workload] = answer
            continue
        error: MoraError = no_load_known(state.workload)
        if demand is not None:
            error = load_not_answered(state.workload, demand.reasons)
        elif answer.remarks:
            error = BadModel(" ".join(reason.text for reason in answer.remarks), hint=error.hint)
        if is_alone:
            raise error
        refused.append(_without_numbers(state.workload, state.allocation, error))
    return [state for state in states if state.workload in answers], refused, lambda state: answers[state.workload]


def _sized(
    states: Sequence[WorkloadState],
    source: FleetSource,
    window: Window,
    settings: Settings,
    *,
    fleet: FleetSettings,
    ask: Ask,
    say: Callable[[str], None],
    reporter: Reporter | None,
    look: Look | None,
) -> list[Recommendation]:
    scheduler = settings.train.scheduler
    if scheduler is not None and len({state.workload.namespace for state in states}) < 2:
        say("All workloads are in one namespace, which one worker would size: this machine does it.")
        scheduler = None
    if scheduler is None:
        return list(recommend_fleet(states, source, window, settings=fleet, ask=ask, look=look, reporter=reporter))
    say(f"Namespaces are sized by the workers of {scheduler}, from history alone: no trained model is asked.")
    return list(recommend_fleet_on_cluster(states, settings, window, scheduler, fleet=fleet, reporter=reporter))


def _name_unmatched(
    settings: Settings, states: Sequence[WorkloadState], namespace: str | None, say: Callable[[str], None]
) -> None:
    """Name the workloads of mora.toml that are not there: a misspelt one would lose its minimum silently."""
    there = {f"{one.workload.namespace}/{one.workload.name}" for one in states}
    for name in settings.fleet.workloads:
        if name not in there and namespace in (None, name.partition("/")[0]):
            say(f'[workloads."{name}"] in mora.toml matches no workload.')


def _warned_once(advice: list[Recommendation], source: FleetSource, say: Callable[[str], None]) -> list[Recommendation]:
    """What a source warns of for all workloads is printed once, and not under each of many."""
    shared = set(getattr(source, "warnings", ()))
    if len(advice) < 2 or not shared:
        return advice
    for warning in sorted(shared):
        say(warning)
    return [
        replace(one, reasons=tuple(why for why in one.reasons if why.code != "source" or why.text not in shared))
        for one in advice
    ]
