"""The use-cases on one page: collect, train, recommend, backtest, render.

The command line and the Python API both come through here. Every step starts from files and ends in files or in a
value that can be printed, so each can be run again alone. From Python, in a folder with data/:

    >>> import mora, tempfile
    >>> sorted(mora.read_dataset("frontend")["scenario"].unique())
    ['browsing', 'checkout']
    >>> models = tempfile.TemporaryDirectory()
    >>> model = mora.train("frontend", models_dir=models.name)
    >>> sorted(model.report["next_steps"])
    ['cpu', 'memory', 'replicas']
    >>> advice = mora.recommend("frontend", users=35, scenario="checkout", models_dir=models.name)
    >>> advice.load.users, advice.container, [reason.code for reason in advice.memory_request.reasons][:2]
    (35, 'server', ['centre', 'bound'])
    >>> print(mora.render(advice, "patch"))
    # Deployment default/frontend, container server: MOrA's advice at 35 users of checkout, ...
    spec:
      replicas: ...
      template:
        spec:
          containers:
            - name: server
              resources:
                requests:
                  cpu: ...m
                  memory: ...Mi
                limits:
                  cpu: null
                  memory: ...Mi
    <BLANKLINE>
    >>> models.cleanup()
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mora import registry
from mora.domain import (
    Allocation,
    Cluster,
    Container,
    Demand,
    FleetSource,
    MetricSource,
    Reason,
    Recommendation,
    Reporter,
    Resources,
    Silent,
    Slo,
    Standing,
    Window,
    Workload,
    check_name,
)
from mora.errors import BadInput, BadModel, ClusterError, MoraError, NotEnoughData, StaleAnswer

if TYPE_CHECKING:
    from mora.backtest.policy import Series
    from mora.backtest.run import Backtest
    from mora.clusters.discovery import FoundPrometheus
    from mora.config import Settings
    from mora.fleet.settings import FleetSettings
    from mora.fleet.stream import Ask, Modelled
    from mora.harness.experiment import RunReport
    from mora.harness.plan import Plan
    from mora.harness.restore import Place as LastingPlace
    from mora.model import ServiceModel, TrainSettings
    from mora.outputs import OutputSettings
    from mora.outputs.folder import Written
    from mora.policies import LimitPolicy, PolicySettings
    from mora.sources.access import Access
    from mora.sources.prometheus import PrometheusSource

DEFAULT_NAMESPACE = "default"
# Observed data that ended longer ago says little of what runs now; a week is the longest period that is looked for.
STALE_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of one service in `train_all`: a model, or the words of why there is none."""

    service: str
    model: ServiceModel | None
    error: MoraError | None
    seconds: float


def model_folder(models_dir: Path | str, service: str, namespace: str = DEFAULT_NAMESPACE) -> Path:
    """Where a service's model lives: models/<service>, with a level for a namespace that is not the default."""
    check_name(service, "service name")
    root = Path(models_dir)
    return root / service if namespace == DEFAULT_NAMESPACE else root / check_name(namespace, "namespace") / service


def list_models(models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> list[str]:
    """Services that have a model folder, sorted."""
    root = Path(models_dir) if namespace == DEFAULT_NAMESPACE else Path(models_dir) / namespace
    if not root.is_dir():
        return []
    return sorted(f.name for f in root.iterdir() if not f.name.startswith(".") and (f / "card.json").is_file())


# --- collect ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where experiments run: what is scaled, what is measured, and where the load goes.

    lasting: where that is a cluster that outlives the run; how it stood is then written down first.
    """

    cluster: Cluster
    source: MetricSource
    workloads: tuple[Workload, ...]
    entry_service: str
    load_url: str
    lasting: LastingPlace | None = None


def open_cluster(target: str, *, sandbox: str = "default") -> Cluster:
    """The cluster of a target's name: a running sandbox, or what KUBECONFIG points at."""
    make = registry.load("clusters", target)
    cluster: Cluster = make(name=sandbox) if target == "sandbox" else make()
    return cluster


def open_prometheus(
    settings: Settings, *, discover: bool = False, say: Callable[[str], None] = lambda words: None
) -> PrometheusSource:
    """The Prometheus that the settings name; with `discover`, else the one that the Kubernetes cluster runs.

    Raises BadInput where they name none and none is to be looked for, ClusterError where none, or several, are found.
    """
    from mora.sources.prometheus import PrometheusSource

    url, access = settings.prometheus_url, access_of(settings)
    if url is None and discover:
        from mora.clusters.discovery import find_prometheus

        found = find_prometheus()
        say(f"Prometheus: {found}.")
        url, access = found.url, _through(found, access)
    if url is None:
        raise BadInput(
            "Which Prometheus?",
            hint="Name it: --prometheus http://127.0.0.1:9090, or MORA_PROMETHEUS_URL, or mora.toml.",
        )
    return PrometheusSource(url, access=access, timeout=timedelta(seconds=settings.prometheus_timeout_seconds))


def _through(found: FoundPrometheus, access: Access) -> Access:
    """The API server's credentials, which its proxy keeps to itself; headers such as X-Scope-OrgID are passed on."""
    return replace(
        access,
        token=found.token,
        token_file=found.token_file,
        username=None,
        password=None,
        ca_file=found.ca_file,
        client_certificate=found.client_certificate,
        verify_tls=found.verify_tls,
    )


def access_of(settings: Settings) -> Access:
    """The credentials that the settings hold for a Prometheus."""
    from mora.sources.access import Access

    certificate = settings.prometheus_client_certificate
    return Access(
        headers=settings.prometheus_headers,
        token_file=settings.prometheus_token_file,
        username=settings.prometheus_username,
        password=settings.prometheus_password,
        ca_file=settings.prometheus_ca_file,
        client_certificate=None
        if certificate is None
        else (certificate, settings.prometheus_client_key or certificate),
    )


@contextmanager
def sandbox_place(name: str = "default", *, say: Callable[[str], None] = lambda words: None) -> Iterator[Place]:
    """The sandbox of that name; where none is running, one is started, and goes down with this process or before."""
    from mora import sandbox
    from mora.clusters.sandbox import SandboxCluster
    from mora.sandbox.state import list_sandboxes
    from mora.sources.prometheus import PrometheusSource

    is_running = name in list_sandboxes()
    if is_running:
        handle = sandbox.connect(name)
    else:
        say(f"Starting a sandbox for this run ({name}) ...")
        handle = sandbox.start(name, owner_pid=os.getpid())
    try:
        yield Place(
            cluster=SandboxCluster(handle),
            source=PrometheusSource(handle.prometheus_url),
            workloads=tuple(Workload(handle.namespace, service) for service in handle.services),
            entry_service=handle.entry_service,
            load_url=handle.shop_url,
        )
    finally:
        if not is_running:
            handle.down()


def sandbox_preview() -> tuple[MetricSource, tuple[Workload, ...]]:
    """What a dry run on the sandbox asks: its queries and services, whether or not one is running."""
    from mora.sandbox import spec
    from mora.sources.prometheus import PrometheusSource

    workloads = tuple(sorted(Workload(spec.NAMESPACE, service.name) for service in spec.SERVICES))
    return PrometheusSource("http://127.0.0.1:9090"), workloads


def collect(
    plan: Plan | str,
    place: Place,
    *,
    data_dir: Path | str = "data",
    resume: bool = False,
    allow_remote: bool = False,
    reporter: Reporter | None = None,
) -> RunReport:
    """Run a plan's experiments at a place and write the CSV and JSON of every service; see harness.run_plan."""
    from mora.harness.experiment import run_plan
    from mora.harness.plan import Plan

    return run_plan(
        plan if isinstance(plan, Plan) else Plan.load(plan),
        place.cluster,
        place.source,
        workloads=place.workloads,
        entry_service=place.entry_service,
        load_url=place.load_url,
        data_dir=data_dir,
        resume=resume,
        allow_remote=allow_remote,
        reporter=reporter,
        place=place.lasting,
    )


# The most samples that a history is read with when no step is named: two weeks at one a minute.
_HISTORY_SAMPLES = 20_160
_HISTORY_STEPS_SECONDS = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def history_window(span: timedelta, *, step: timedelta | None = None, now: datetime | None = None) -> Window:
    """The last `span` on a grid; without a step the finest round one that gives at most two weeks of minutes.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)
    >>> history_window(timedelta(days=14), now=at).step, history_window(timedelta(hours=2), now=at).step
    (datetime.timedelta(seconds=60), datetime.timedelta(seconds=15))
    """
    if step is None:
        # A finer grid than the usual scrape interval says nothing new.
        least = max(15.0, span.total_seconds() / _HISTORY_SAMPLES)
        step = timedelta(seconds=next((s for s in _HISTORY_STEPS_SECONDS if s >= least), _HISTORY_STEPS_SECONDS[-1]))
    moment = (now or datetime.now(UTC)).timestamp()
    end = datetime.fromtimestamp(moment - moment % step.total_seconds(), UTC)
    return Window(end - (span // step) * step, end, step)


# --- train -----------------------------------------------------------------------------------------------------------


def train(
    service: str,
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    reporter: Reporter | None = None,
) -> ServiceModel:
    """Train Prophet, LSTM and the load response of one service on its CSVs and save the model folder.

    Raises NotEnoughData (how much is needed, how to get it) and BadDataset (file and line).
    """
    trained = learn(read_lesson(service, data_dir, namespace, include_flagged), settings, reporter)
    trained.save(model_folder(models_dir, service, namespace))
    return trained


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a service is learnt from: its samples and how each experiment of theirs came to be."""

    workload: Workload
    frame: Any
    cards: Mapping[str, Any]


def read_lesson(service: str, data_dir: Path | str, namespace: str, include_flagged: bool) -> Lesson:
    """The CSVs and JSONs of a service; raises BadDataset, NotEnoughData."""
    from mora import dataset

    frame = dataset.read_dataset(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    cards = dataset.read_cards(service, data_dir, namespace=namespace)
    kinds = {str(card["kind"]) for card in cards.values() if card.get("kind")}
    return Lesson(Workload(namespace, service, kinds.pop() if len(kinds) == 1 else "Deployment"), frame, cards)


def learn(lesson: Lesson, settings: TrainSettings | None = None, reporter: Reporter | None = None) -> ServiceModel:
    """A service's model, on no disk yet."""
    from mora import model as learning

    chosen = settings if settings is not None else learning.TrainSettings()
    return learning.train(lesson.frame, lesson.cards, lesson.workload, settings=chosen, reporter=reporter or Silent())


def train_all(
    services: Sequence[str],
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    jobs: int = 2,
    scheduler: str | None = None,
    reporter: Reporter | None = None,
) -> list[Trained]:
    """Train many services, `jobs` at a time in processes of their own; one that fails does not stop the others.

    scheduler: address of a Dask scheduler, whose workers then train in place of this machine's processes. They need no
    folder: the data is read here, and the models are written here.
    """
    from joblib import Parallel, delayed

    reporter = reporter or Silent()
    where = {"data_dir": data_dir, "models_dir": models_dir, "namespace": namespace}
    options = {**where, "include_flagged": include_flagged, "settings": settings}
    at_once = min(jobs, len(services))
    outcomes: Iterable[Trained]
    if scheduler is not None:
        outcomes = _train_on_cluster(
            services,
            scheduler,
            data_dir=data_dir,
            models_dir=models_dir,
            namespace=namespace,
            include_flagged=include_flagged,
            settings=settings,
        )
    elif at_once < 2:
        # In this process, so that the reporter can tell of epochs; others' processes are silent until they end.
        return [_train_one(service, {**options, "reporter": reporter}) for service in services]
    else:
        outcomes = Parallel(n_jobs=at_once, return_as="generator_unordered")(
            delayed(_train_one)(service, options) for service in services
        )
    done: list[Trained] = []
    reporter.advance("train", 0, len(services))
    for outcome in outcomes:
        done.append(outcome)
        reporter.advance("train", len(done), len(services), outcome.service)
    return sorted(done, key=lambda trained: services.index(trained.service))


def _train_one(service: str, options: Mapping[str, Any]) -> Trained:
    started = time.monotonic()
    try:
        return Trained(service, train(service, **options), None, time.monotonic() - started)
    except MoraError as failure:
        return Trained(service, None, failure, time.monotonic() - started)


def _train_on_cluster(
    services: Sequence[str],
    scheduler: str,
    *,
    data_dir: Path | str,
    models_dir: Path | str,
    namespace: str,
    include_flagged: bool,
    settings: TrainSettings | None,
) -> Iterator[Trained]:
    """Trainings as they end; each model is written before the next is waited for, so a lost cluster loses no more."""
    from mora import scaleout

    unread: list[Trained] = []

    def tasks() -> Iterator[tuple[str, Lesson, TrainSettings | None]]:
        for service in services:
            try:
                yield service, read_lesson(service, data_dir, namespace, include_flagged), settings
            except MoraError as failure:
                unread.append(Trained(service, None, failure, 0.0))

    with scaleout.connect(scheduler) as cluster:
        for service, outcome in cluster.run(_learn_on_worker, tasks()):
            if isinstance(outcome, MoraError):
                yield Trained(service, None, outcome, 0.0)
                continue
            if outcome.model is not None:
                outcome.model.save(model_folder(models_dir, service, namespace))
            yield outcome
    yield from unread


# Seeds and TensorFlow's threads are a process's own: a worker with several threads trains one service at a time.
_TRAINING = threading.Lock()


def _learn_on_worker(service: str, lesson: Lesson, settings: TrainSettings | None) -> Trained:
    with _TRAINING:
        started = time.monotonic()
        try:
            return Trained(service, learn(lesson, settings), None, time.monotonic() - started)
        except MoraError as failure:
            return Trained(service, None, failure, time.monotonic() - started)


def load_model(service: str, *, models_dir: Path | str = "models", namespace: str = DEFAULT_NAMESPACE) -> ServiceModel:
    """The saved model of a service; BadModel naming those there are where it has none."""
    from mora.model import ServiceModel

    folder = model_folder(models_dir, service, namespace)
    if not folder.is_dir():
        others = list_models(models_dir, namespace)
        raise BadModel(
            f"There is no model of {service!r} in {folder}"
            + (f"; there are models of {', '.join(others)}." if others else "."),
            hint=f"Train one: mora train {service}",
        )
    return ServiceModel.load(folder)


def recommend(
    service: str,
    *,
    users: int | None = None,
    scenario: str | None = None,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    slo: Slo | None = None,
    min_replicas: int = 1,
    target_utilisation: float = 0.7,
    policy: PolicySettings | None = None,
    current: Allocation | None = None,
    stale_ok: bool = False,
    include_flagged: bool = False,
    model: ServiceModel | None = None,
    frame: Any = None,
    now: datetime | None = None,
    hold: timedelta | None = None,
) -> Recommendation:
    """What `service` should request, be limited to and run as, and why.

    users, scenario: the load asked for; without users the highest driven load that kept the SLO is meant.
    current: the workload as it stands now (from a cluster); without it, as it stood when the data was collected.
    now: the wall clock, only to tell whether observed data has aged; no number depends on it.
    hold: how long the number stands, observed data only; by default what the training was told (a day).
    Raises StaleAnswer where the data does not describe what runs, unless `stale_ok`.
    """
    from mora import dataset, policies

    if users is not None and users < 1:
        raise BadInput(f"--users must be at least 1, not {users}.")
    model = model if model is not None else load_model(service, models_dir=models_dir, namespace=namespace)
    if frame is None:
        frame = dataset.read_dataset(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    if frame.empty:
        raise NotEnoughData(f"There is no usable data of {service!r} in {data_dir}.", hint="Collect some: mora collect")
    current = None if current is None else _as_measured(current, model)
    remarks = check_fresh(
        model, current, now=now or datetime.now(UTC), stale_ok=stale_ok, seen_until=_observed_until(frame, model)
    )
    settings = policy if policy is not None else policies.PolicySettings()
    standing = current if current is not None else standing_allocation(model)
    demand = _asked(
        model,
        frame,
        standing,
        users=users,
        scenario=scenario,
        slo=slo or Slo(),
        min_replicas=min_replicas,
        target_utilisation=target_utilisation,
        max_replicas=settings.max_replicas,
        hold=hold,
    )
    advice = policies.recommend(demand, standing, settings)
    if current is None and _measured_container(model) is None:
        text = (
            f"the data does not say what the container is called: {advice.container!r} is a guess; look before you "
            "apply it, or compare with what runs (--target kubernetes)"
        )
        remarks = (*remarks, Reason("container-guessed", text))
    return replace(advice, reasons=(*remarks, *advice.reasons), model_digest=model.digest)


def _asked(
    model: ServiceModel, frame: Any, standing: Allocation, *, min_replicas: int, max_replicas: int | None, **asked: Any
) -> Demand:
    """What a model says, within the replicas that the workload's autoscaler leaves."""
    scaler = standing.autoscaler
    if scaler is not None:
        max_replicas = max(min(max_replicas or scaler.max_replicas, scaler.max_replicas), min_replicas)
    return model.demand(
        frame,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        # An autoscaler that cannot add enough ends at its most.
        standing_replicas=standing.replicas if scaler is None else scaler.max_replicas,
        **asked,
    )


def _measured_container(model: ServiceModel) -> str | None:
    name: str | None = (model.card.get("standing") or {}).get("container")
    return name


def _as_measured(current: Allocation, model: ServiceModel) -> Allocation:
    """The workload with that container as its main one which the data was measured of: no other gets its numbers.

    A cluster and a Prometheus may choose differently, where only one of them knows the pods' annotations.
    """
    measured = _measured_container(model)
    if measured not in [container.name for container in current.containers]:
        return current
    return replace(current, containers=tuple(replace(c, is_main=c.name == measured) for c in current.containers))


def standing_allocation(model: ServiceModel) -> Allocation:
    """The workload as it stood when the model's data was collected, from the model's card."""
    seen = model.card.get("standing") or {}
    resources = seen.get("resources") or {}
    fields = Resources.__dataclass_fields__
    container = Container(
        # Nobody said what it is called: most charts name it like the workload.
        name=seen.get("container") or model.workload.name,
        resources=Resources(**{name: resources[name] for name in fields if resources.get(name) is not None}),
        image=seen.get("image"),
        is_main=True,
    )
    return Allocation(replicas=seen.get("replicas"), containers=(container,))


def _observed_until(frame: Any, model: ServiceModel) -> datetime | None:
    """When the history at hand ends, which may be later than the training did; None where none is asked."""
    from mora.metrics import OBSERVED_SCENARIO

    if model.card.get("driven"):
        return None
    watched = frame[frame["scenario"] == OBSERVED_SCENARIO]
    until: datetime | None = None if watched.empty else watched["timestamp"].max().to_pydatetime()
    return until


def check_fresh(
    model: ServiceModel,
    current: Allocation | None,
    *,
    now: datetime,
    stale_ok: bool,
    seen_until: datetime | None = None,
) -> tuple[Reason, ...]:
    """Refuse, or with `stale_ok` remark, that the data does not describe what runs now.

    seen_until: when the history ends that is answered from; by default, when that of the training ended.
    """
    remarks = []
    is_driven = bool(model.card.get("driven"))
    last_sample = seen_until or datetime.fromisoformat(model.card["last_sample"])
    if not is_driven and now - last_sample > STALE_AFTER:
        age_days = (now - last_sample).days
        remarks.append(
            Reason(
                "stale-data",
                f"The data ends {age_days} days ago ({last_sample:%Y-%m-%d %H:%M} UTC); use may have moved since.",
            )
        )
    if current is not None and current.main is not None:
        measured = _measured_container(model)
        if measured is not None and measured != current.main.name:
            there = ", ".join(container.name for container in current.containers)
            text = f"It has no container {measured!r}, which the data saw; there are: {there}."
            remarks.append(Reason("container-changed", text))
        remarks += _differences(standing_allocation(model), current.main)
    if remarks and not stale_ok:
        words = " ".join(remark.text for remark in remarks)
        raise StaleAnswer(
            f"The data of {model.workload.name!r} does not describe what runs now. {words}",
            hint="Collect and train again, or take the answer as it is with --stale-ok.",
        )
    return tuple(remarks)


def _differences(standing: Allocation, container: Container) -> list[Reason]:
    seen = standing.main
    if seen is None:
        return []
    found = []
    if seen.image and container.image and seen.image != container.image:
        found.append(Reason("image-changed", f"It runs image {container.image}, the data saw {seen.image}."))
    before, after = seen.resources, container.resources
    for name, old, new in (
        ("CPU", before.cpu_limit_millicores, after.cpu_limit_millicores),
        ("memory", before.memory_limit_bytes, after.memory_limit_bytes),
    ):
        if old != new:
            found.append(
                Reason("limits-changed", f"Its {name} limit is {_limit(name, new)}, the data saw {_limit(name, old)}.")
            )
    return found


def _limit(name: str, amount: int | None) -> str:
    from mora.quantities import format_cpu, format_memory

    if amount is None:
        return "not set"
    return format_cpu(amount) if name == "CPU" else format_memory(amount)


# --- from what the cluster already knows -----------------------------------------------------------------------------

# Longer histories are read on the grid that the rules were scored on (mora/bounds: five minutes); shorter ones have
# few samples, and cost little on a finer one.
_FLEET_STEP, _FINE_STEP = timedelta(minutes=5), timedelta(minutes=1)
_FINE_BELOW = timedelta(days=2)


def fleet_window(span: timedelta, *, now: datetime | None = None) -> Window:
    """The last `span` on the grid that many workloads are read on.

    >>> fleet_window(timedelta(days=14)).sample_count, fleet_window(timedelta(days=1)).sample_count
    (4033, 1441)
    """
    return history_window(span, step=_FLEET_STEP if span >= _FINE_BELOW else _FINE_STEP, now=now)


def open_fleet(
    settings: Settings, *, discover: bool = False, say: Callable[[str], None] = lambda words: None
) -> FleetSource:
    """The Prometheus that the settings name, or the cluster's own, asked for many workloads at once."""
    from mora.sources.fleet import PrometheusFleet

    return PrometheusFleet(open_prometheus(settings, discover=discover, say=say), cluster=settings.prometheus_cluster)


def find_standings(
    source: FleetSource,
    *,
    namespace: str | None,
    selector: str | None = None,
    names: Sequence[str] = (),
    kubernetes: bool = True,
    remark: Callable[[str], None] = lambda words: None,
) -> list[Standing]:
    """The workloads that are meant, as the Kubernetes API knows them, or (kubernetes=False) Prometheus alone.

    namespace: None for all. selector: labels, as kubectl's -l. names: "frontend", "deployment/frontend",
    "shop/frontend"; without any, all. remark: told what concerns no single workload.
    Raises BadInput for a name that is not there, NotEnoughData where there is no workload at all.
    """
    from mora.fleet.names import choose, labelled

    if kubernetes:
        from mora.clusters.inventory import KubernetesInventory

        try:
            inventory = KubernetesInventory()
            found = inventory.standings(namespace, selector)
        except ClusterError as error:
            also = "Or find the workloads in Prometheus alone: --no-kubernetes"
            raise ClusterError(error.message, hint=f"{error.hint}\n      {also}" if error.hint else also) from error
        for reason in inventory.remarks:
            remark(reason.text)
    else:
        found = source.standings(namespace)
        found = found if selector is None else labelled(found, selector)
        for warning in getattr(source, "warnings", ()):
            remark(warning)
    if not found:
        where = "any namespace" if namespace is None else f"namespace {namespace!r}"
        matching = "" if selector is None else f" that matches {selector}"
        raise NotEnoughData(
            f"There is no workload in {where}{matching}, as far as {_who(kubernetes)} knows.",
            hint="Name another namespace (-n), or all of them (-A)."
            if kubernetes
            else "Workloads come from kube-state-metrics: is it scraped (kube_pod_owner), and kept under that name?",
        )
    return choose(found, names)


def _who(kubernetes: bool) -> str:
    return "the Kubernetes API" if kubernetes else "Prometheus"


def recommend_fleet(
    standings: Sequence[Standing],
    source: FleetSource,
    window: Window,
    *,
    settings: FleetSettings | None = None,
    models_dir: Path | str | None = None,
    data_dir: Path | str = "data",
    slo: Slo | None = None,
    stale_ok: bool = False,
    reporter: Reporter | None = None,
) -> Iterator[Recommendation]:
    """One recommendation for every workload, for every container of its, from what Prometheus knows of the window.

    They come namespace by namespace, as histories are read; no more than a few histories are held at a time.
    models_dir: where trained models are looked for; None uses none. A workload that vanishes in between, or of which
    nothing is known, gets one without numbers, and the reason. Raises BadInput where overrides cannot be meant.
    """
    from mora.fleet.settings import FleetSettings, check_overrides
    from mora.fleet.stream import no_models, stream

    settings = settings if settings is not None else FleetSettings()
    check_overrides(standings, settings)
    if settings.hold < window.step:
        raise BadInput(
            f"A hold of {settings.hold.total_seconds():g} s is shorter than the {window.step.total_seconds():g} s "
            "between samples.",
            hint="Ask for a longer one, like --hold 1h.",
        )
    ask: Ask = no_models
    if models_dir is not None:
        ask = trained_demand(models_dir, data_dir, settings, slo=slo, stale_ok=stale_ok)
    histories = source.histories(standings, window, reporter=reporter)
    return stream(standings, histories, window, settings, ask=ask, reporter=reporter)


def recommend_fleet_on_cluster(
    standings: Sequence[Standing],
    settings: Settings,
    window: Window,
    scheduler: str,
    *,
    fleet: FleetSettings | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Recommendation]:
    """As recommend_fleet, sharded: each namespace is read and sized by a worker of a Dask cluster, as they end.

    The workers ask the Prometheus of `settings` themselves, with its credentials: they must reach it, and find its
    token and CA files where `settings` name them. No trained model is asked.
    """
    from mora import scaleout
    from mora.fleet.settings import FleetSettings, check_overrides

    chosen = fleet if fleet is not None else FleetSettings()
    check_overrides(standings, chosen)
    shards: dict[str, list[Standing]] = {}
    for standing in standings:
        shards.setdefault(standing.workload.namespace, []).append(standing)
    tasks = ((namespace, shard, settings, window, chosen) for namespace, shard in sorted(shards.items()))
    reporter, sized = reporter or Silent(), 0
    with scaleout.connect(scheduler) as cluster:
        for namespace, outcome in cluster.run(_size_namespace, tasks):
            if isinstance(outcome, MoraError):
                raise outcome
            sized += len(outcome)
            reporter.advance("workloads", sized, len(standings), namespace)
            yield from outcome


def _size_namespace(
    namespace: str, standings: Sequence[Standing], settings: Settings, window: Window, fleet: FleetSettings
) -> list[Recommendation]:
    """On a worker: one namespace, from Prometheus to numbers."""
    return list(recommend_fleet(standings, open_fleet(settings), window, settings=fleet))


def trained_demand(
    models_dir: Path | str,
    data_dir: Path | str,
    settings: FleetSettings,
    *,
    slo: Slo | None = None,
    stale_ok: bool = False,
) -> Ask:
    """What the trained model of a workload says, where there is one that fits what runs; else why it is not asked."""
    from mora import dataset
    from mora.fleet.need import JOB_KINDS
    from mora.fleet.stream import Modelled

    policy = settings.policy

    def ask(standing: Standing) -> Modelled:
        workload = standing.workload
        folder = model_folder(models_dir, workload.name, workload.namespace)
        if not folder.is_dir() or workload.kind in JOB_KINDS:
            return Modelled()
        try:
            model = load_model(workload.name, models_dir=models_dir, namespace=workload.namespace)
            if model.workload.kind != workload.kind:
                raise BadModel(f"The model is of a {model.workload.kind}, not of a {workload.kind}.")
            frame = dataset.read_dataset(workload.name, data_dir, namespace=workload.namespace)
            remarks = check_fresh(
                model,
                standing.allocation,
                now=datetime.now(UTC),
                stale_ok=stale_ok,
                seen_until=_observed_until(frame, model),
            )
            demand = _asked(
                model,
                frame,
                standing.allocation,
                slo=slo or Slo(),
                min_replicas=policy.min_replicas,
                target_utilisation=policy.target_utilisation,
                max_replicas=policy.max_replicas,
                hold=None if model.is_driven else settings.hold,
            )
        except MoraError as error:
            text = f"the trained model in {folder} is not used, the history alone is: {error.message}"
            return Modelled(remarks=(Reason("model-not-used", text),))
        return Modelled(demand, model.digest, remarks)

    return ask


def fleet_settings(settings: Settings, *, excluded: Sequence[str] = ()) -> FleetSettings:
    """What the settings say to a run over many workloads. excluded: START/END of windows that are left out."""
    from mora.fleet.settings import FleetSettings
    from mora.fleet.spans import parse_span

    return FleetSettings(
        policy=policy_settings(settings),
        hold=timedelta(seconds=settings.hold_seconds),
        excluded=tuple(parse_span(text) for text in excluded),
        include_sidecars=settings.include_sidecars,
        allow_jvm_cut=settings.allow_jvm_cut,
        namespaces=settings.namespaces,
        workloads=settings.workloads,
    )


# --- backtest --------------------------------------------------------------------------------------------------------

# Decisions of KRR's rule that take about as long as it takes to start processes; below, one is faster.
_WORTH_PROCESSES = 30_000


def backtest(
    targets: str | Path | Sequence[str],
    *,
    policies: Sequence[str] = (),
    hold: timedelta = timedelta(hours=24),
    warmup: timedelta = timedelta(days=7),
    series: str | None = None,
    with_minimums: bool = True,
    cpu_scale: float = 1.0,
    mem_scale: float = 1.0,
    time_column: str = "timestamp",
    jobs: int = 1,
    data_dir: Path | str = "data",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    cache_dir: Path | str | None = None,
    reporter: Reporter | None = None,
) -> Backtest:
    """Replay what rules would have reserved, hold after hold, and score it (mora/backtest/scoring.py).

    targets: a trace file (parquet or CSV), or services with observed data. policies: by default all, and the oracle.
    series: "20" for the first so many, or ids with commas. with_minimums, cpu_scale, mem_scale, time_column: for
    traces in other units and with other clocks. cache_dir: where results are kept, so that a run that was stopped
    goes on.
    """
    from mora.backtest.run import ORACLE, BacktestSettings, Kept, Task, one_by_one, run, run_task
    from mora.backtest.traces import choose_series

    for what, scale in (("CPU", cpu_scale), ("memory", mem_scale)):
        if not (math.isfinite(scale) and scale > 0):
            raise BadInput(f"The scale of {what} must be a positive number, not {scale}.")
    if hold < timedelta(seconds=1):
        raise BadInput("A hold lasts a second at least.")
    settings = BacktestSettings(
        tuple(dict.fromkeys(policies)) or (*registry.names("replay_policies"), ORACLE),
        hold_seconds=round(hold.total_seconds()),
        warmup_seconds=round(warmup.total_seconds()),
        with_minimums=with_minimums,
    )
    names = [str(targets)] if isinstance(targets, (str, Path)) else [str(target) for target in targets]
    found, unread = _series_of(
        names,
        cpu_scale=cpu_scale,
        mem_scale=mem_scale,
        time_column=time_column,
        data_dir=data_dir,
        namespace=namespace,
        include_flagged=include_flagged,
    )

    def processes(tasks: Sequence[Task]) -> Iterable[tuple[Task, Any]]:
        if jobs < 2 or len(tasks) < 2 or sum(task.weight for task in tasks) < _WORTH_PROCESSES:
            return one_by_one(tasks)
        from joblib import Parallel, delayed

        done: Iterable[tuple[Task, Any]] = Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(run_task)(task) for task in tasks
        )
        return done

    kept = None if cache_dir is None else Kept(Path(cache_dir))
    result = run(choose_series(found, series), settings, workers=processes, kept=kept, reporter=reporter)
    if kept is not None:
        kept.make_room()
    return replace(result, unread=unread)


def write_report(result: Backtest, path: Path, *, source: str, drawn: str | None = None) -> None:
    """A backtest as one HTML page, whole or not at all. source: what was replayed. drawn: ids, or some of all kinds."""
    from mora.backtest.report import render_report
    from mora.dataset import write_files

    write_files([(path, render_report(result, source=source, drawn=drawn))])


def cache_folder(what: str) -> Path:
    """Where results are kept that can be computed again: $XDG_CACHE_HOME/mora, in ~/.cache by default."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path("~/.cache").expanduser()) / "mora" / what


def _series_of(
    names: Sequence[str],
    *,
    cpu_scale: float,
    mem_scale: float,
    time_column: str,
    data_dir: Path | str,
    namespace: str,
    include_flagged: bool,
) -> tuple[list[Series], tuple[str, ...]]:
    """The series to replay, and what is to be said of those that could not be read."""
    from mora import dataset
    from mora.backtest.traces import SUFFIXES, read_service, read_trace

    files = [name for name in names if Path(name).suffix.lower() in SUFFIXES or Path(name).is_file()]
    if files and len(names) > 1:
        raise BadInput(f"{files[0]} is a trace file: it is replayed alone.", hint="Name one file, or only services.")
    if files:
        trace = read_trace(Path(files[0]), cpu_scale=cpu_scale, mem_scale=mem_scale, time_column=time_column)
        return trace.series, tuple(trace.remarks())
    return [
        read_service(dataset.read_dataset(name, data_dir, namespace=namespace, include_flagged=include_flagged), name)
        for name in dict.fromkeys(names)
    ], ()


# --- render ----------------------------------------------------------------------------------------------------------


def render(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str = "table",
    settings: OutputSettings | None = None,
) -> str:
    """Recommendations as text: table, json, yaml, patch, kustomize, vpa, hpa or commands."""
    from mora.outputs import OutputSettings

    text: str = registry.load("outputs", output)(_many(recommendations), settings or OutputSettings())
    return text


def write_output(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str,
    folder: Path,
    settings: OutputSettings | None = None,
    *,
    overwrite: bool = False,
) -> Written:
    """Any output as files in `folder`, all of them or none; see mora/outputs/folder.py for what it does not touch."""
    from mora.outputs import OutputSettings
    from mora.outputs.folder import write

    return write(output, _many(recommendations), folder, settings or OutputSettings(), overwrite=overwrite)


def _many(recommendations: Recommendation | Sequence[Recommendation]) -> list[Recommendation]:
    return [recommendations] if isinstance(recommendations, Recommendation) else list(recommendations)


def policy_settings(settings: Settings) -> PolicySettings:
    """What the settings say to the policy."""
    from mora.policies import PolicySettings

    return PolicySettings(
        cpu_buffer=settings.cpu_buffer,
        memory_buffer=settings.memory_buffer,
        cpu_floor_millicores=settings.cpu_floor_millicores,
        memory_floor_bytes=settings.memory_floor_bytes,
        cpu_cap_millicores=settings.cpu_cap_millicores,
        memory_cap_bytes=settings.memory_cap_bytes,
        min_change=settings.min_change,
        max_cpu_cut=settings.max_cpu_cut,
        max_memory_cut=settings.max_memory_cut,
        allow_any_step=settings.allow_any_step,
        cpu_limit=cast("LimitPolicy", settings.cpu_limit),
        memory_limit=cast("LimitPolicy", settings.memory_limit),
        touch_autoscaled=settings.touch_autoscaled,
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        target_utilisation=settings.target_utilisation,
    )


def hold_asked(settings: Settings, model: ServiceModel) -> timedelta | None:
    """The hold to recommend for; None for driven data, unless --hold asks for one by name (and is refused in words).

    A `hold` in mora.toml is meant for the services that are watched, beside others that were driven.
    """
    if model.is_driven and settings.origin("hold_seconds") != "--hold":
        return None
    return timedelta(seconds=settings.hold_seconds)


def train_settings(settings: Settings) -> TrainSettings:
    """What the settings say to training."""
    from mora.model import TrainSettings

    prophet = settings.prophet_weight
    return TrainSettings(
        seed=settings.seed,
        weights={"prophet": prophet, "lstm": round(1.0 - prophet, 12)},
        learn_weights=settings.learn_weights,
        hold=timedelta(seconds=settings.hold_seconds),
        slo=settings.slo,
    )


def describe_training(trained: Trained) -> str:
    """What a training learnt, or why there is no model, for a person."""
    from mora.outputs.training import render as render_training

    if trained.model is None:
        return f"{trained.service}: no model. {trained.error}\n"
    return render_training(trained.service, trained.model.card, seconds=trained.seconds)
