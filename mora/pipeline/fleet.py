"""Recommending for whole clusters: every container of every workload, from Prometheus history."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import API_VERSIONS, Reason, Recommendation, Slo, Window, WorkloadState
from mora.errors import BadInput, ClusterError, MoraError, NotEnoughData
from mora.pipeline.connecting import open_fleet
from mora.pipeline.modelled import trained_demand
from mora.quantities import format_duration, readable_cores
from mora.seams import BoundsSource, CauseSource, FleetSource, Reporter, Silent

if TYPE_CHECKING:
    from mora.fleet.settings import FleetSettings
    from mora.fleet.stream import Ask, Look
    from mora.settings import KubernetesAccess, Settings

NO_KUBECONFIG = Reason("no-kubeconfig", "there is no kubeconfig, so the Kubernetes API was not asked")
NO_KUBECONFIG_NOTE = (
    "There is no kubeconfig, so workloads, requests and limits come from {source} alone. For LimitRanges, quotas, "
    "HPAs and annotations as the cluster has them, set $KUBECONFIG. --no-kubernetes leaves out this note."
)


def lacks_kubeconfig(settings: Settings, target: str | None, *, is_named: bool = False) -> bool:
    """Whether a source is named and no cluster is configured at all: then that source alone is read, with a notice.

    is_named: whether it is a cloud; else the Prometheus of the settings counts.

    A kubeconfig that exists and fails stays an error, and so does --target kubernetes.
    """
    from mora.clusters.kubeconfig import is_configured

    is_chosen = settings.kubernetes.context is not None or settings.kubernetes.kubeconfig is not None
    has_source = is_named or settings.prometheus.url is not None
    return has_source and target is None and not is_chosen and not is_configured()


def find_workload_states(
    source: FleetSource,
    *,
    namespace: str | None,
    selector: str | None = None,
    names: Sequence[str] = (),
    kubernetes: bool = True,
    known_by: str = "Prometheus",
    access: KubernetesAccess | None = None,
    remark: Callable[[str], None] = lambda words: None,
) -> list[WorkloadState]:
    """The workloads that are meant, as the Kubernetes API knows them, or (kubernetes=False) the source alone.

    known_by: what the source is called.

    namespace: None for all. selector: labels, as kubectl's -l. names: "frontend", "deployment/frontend",
    "shop/frontend"; without any, all. access: which cluster, if not the current one. remark: gets what concerns no
    single workload.
    Raises BadInput for a name that is not there, NotEnoughData where there is no workload at all.
    """
    from mora.fleet.names import choose, labelled

    if kubernetes:
        from mora.clusters.inventory import KubernetesInventory

        try:
            inventory = KubernetesInventory(*((access.kubeconfig, access.context) if access else ()))
            found = inventory.states(namespace, selector)
        except ClusterError as error:
            also = f"Or find the workloads in {known_by} alone: --no-kubernetes"
            raise ClusterError(error.message, hint=f"{error.hint}\n      {also}" if error.hint else also) from error
        for reason in inventory.remarks:
            remark(reason.text)
    else:
        if selector is not None and known_by != "Prometheus":
            raise BadInput(
                f"{known_by} knows no labels of workloads, so -l cannot choose among them.",
                hint="Name the workloads, or ask the Kubernetes API for them: set $KUBECONFIG.",
            )
        found = source.states(namespace)
        found = found if selector is None else labelled(found, selector)
        for warning in getattr(source, "warnings", ()):
            remark(warning)
    if not found:
        where = "any namespace" if namespace is None else f"namespace {namespace!r}"
        who = "the Kubernetes API" if kubernetes else known_by
        matching = "" if selector is None else f" that matches {selector}"
        raise NotEnoughData(
            f"There is no workload in {where}{matching}, as far as {who} knows.",
            hint="Name another namespace (-n), or all of them (-A)."
            if kubernetes
            else "Workloads come from kube-state-metrics: is it scraped (kube_pod_owner), and kept under that name?",
        )
    chosen = choose(found, names)
    if (words := of_other_kinds(chosen)) is not None:
        remark(words)
    return chosen


def of_other_kinds(states: Sequence[WorkloadState]) -> str | None:
    """The workloads by kind, with their pods and what these request, that MOrA sizes and writes no patch for."""
    others = sorted((one for one in states if one.workload.kind not in API_VERSIONS), key=lambda one: one.workload.kind)
    if not others:
        return None
    parts = []
    for kind, group in itertools.groupby(others, key=lambda one: one.workload.kind):
        of_kind = list(group)
        counted = [(one, one.allocation.replicas) for one in of_kind if one.allocation.replicas is not None]
        pods = sum(replicas for _, replicas in counted)
        cores = sum(one.allocation.effective("cpu_request_millicores") * replicas for one, replicas in counted) / 1000
        each = max(one.allocation.effective("cpu_request_millicores") for one in of_kind) / 1000
        what = f"{pods} pod{'' if pods == 1 else 's'}, {readable_cores(cores)} requested"
        if not counted:
            what = f"up to {readable_cores(each)} requested by each of its runs"
        parts.append(f"{len(of_kind)} {kind} ({what})")
    return f"Sized, and without a patch, since MOrA writes none for their kinds: {', '.join(parts)}."


def recommend_fleet(
    states: Sequence[WorkloadState],
    source: FleetSource,
    window: Window,
    *,
    settings: FleetSettings | None = None,
    models_dir: Path | str | None = None,
    data_dir: Path | str = "data",
    slo: Slo | None = None,
    stale_ok: bool = False,
    ask: Ask | None = None,
    look: Look | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Recommendation]:
    """One recommendation for every workload, for every container of its, from what Prometheus knows of the window.

    They come namespace by namespace, as histories are read; no more than a few histories are in memory at a time.
    models_dir: where trained models are looked for; None uses none. ask: what answers in their place. look: gets every
    history that is sized.
    A workload that vanishes in between, of which nothing is known, or whose annotations cannot be used, gets one
    without numbers, and the reason. Raises BadInput where the overrides of mora.toml cannot be meant.
    """
    from mora.fleet.certain import causes_of, no_causes
    from mora.fleet.settings import FleetSettings, check_overrides
    from mora.fleet.stream import no_keeper, no_look, no_models, stream

    settings = settings if settings is not None else FleetSettings()
    states = check_overrides(states, settings)
    if settings.horizon < window.step:
        raise BadInput(
            f"A horizon of {format_duration(settings.horizon)} is shorter than the {format_duration(window.step)} "
            "between samples.",
            hint="Ask for a longer one, like --horizon 1h.",
        )
    if ask is None:
        ask = no_models
        if models_dir is not None:
            ask = trained_demand(models_dir, data_dir, settings, slo=slo, stale_ok=stale_ok)
    histories = source.histories(states, window, reporter=reporter)
    causes = causes_of(source) if isinstance(source, CauseSource) else no_causes
    return stream(
        states,
        histories,
        window,
        settings,
        ask=ask,
        look=look or no_look,
        causes=causes,
        keeper=source.keeper if isinstance(source, BoundsSource) else no_keeper,
        reporter=reporter,
    )


def recommend_fleet_on_cluster(
    states: Sequence[WorkloadState],
    settings: Settings,
    window: Window,
    scheduler: str,
    *,
    fleet: FleetSettings | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Recommendation]:
    """As recommend_fleet, sharded: each namespace is read and sized by a worker of a Dask cluster, as they end.

    The workers ask the Prometheus of `settings` themselves, with its credentials: they must reach it, and find its
    token and CA files where `settings` name them, as well as the folder of what is kept between runs: a worker has that
    of a namespace to itself. No trained model is asked.
    """
    from mora import scaleout
    from mora.fleet.settings import FleetSettings, check_overrides

    chosen = fleet if fleet is not None else FleetSettings()
    states = check_overrides(states, chosen)
    shards: dict[str, list[WorkloadState]] = {}
    for state in states:
        shards.setdefault(state.workload.namespace, []).append(state)
    if settings.state_dir is not None:
        # Named from here: workers have working directories of their own.
        settings = replace(settings, state_dir=settings.state_dir.absolute())
    tasks = ((namespace, shard, settings, window, chosen) for namespace, shard in sorted(shards.items()))
    reporter, sized = reporter or Silent(), 0
    with scaleout.connect(scheduler) as cluster:
        for namespace, outcome in cluster.run(_size_namespace, tasks):
            if isinstance(outcome, MoraError):
                raise outcome
            sized += len(outcome)
            reporter.advance("workloads", sized, len(states), namespace)
            yield from outcome


def _size_namespace(
    namespace: str, states: Sequence[WorkloadState], settings: Settings, window: Window, fleet: FleetSettings
) -> list[Recommendation]:
    """On a worker: one namespace, from Prometheus to numbers; what is kept between runs, in a folder of its own."""
    if settings.state_dir is not None:
        settings = replace(settings, state_dir=settings.state_dir / "namespaces" / namespace)
    return list(recommend_fleet(states, open_fleet(settings), window, settings=fleet))
