"""What `mora recommend` and `mora explain` share where they read what a cluster already knows: options and the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import progress, say
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.domain import Recommendation, WorkloadState
    from mora.outputs import OutputSettings
    from mora.seams import FleetSource
    from mora.settings import Settings

_PANEL = "From what the cluster's Prometheus knows"

AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Workloads of every namespace.", rich_help_panel=_PANEL)
]
Selector = Annotated[
    str | None,
    typer.Option(
        "--selector",
        "-l",
        help="Workloads with these labels, e.g. app=shop,tier!=test.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
History = Annotated[
    str | None,
    typer.Option(
        "--history", help="How far back Prometheus is read, e.g. 14d.", show_default="14d", rich_help_panel=_PANEL
    ),
]
NoKubernetes = Annotated[
    bool,
    typer.Option(
        "--no-kubernetes", help="Find workloads in Prometheus alone (kube-state-metrics).", rich_help_panel=_PANEL
    ),
]
ClusterLabel = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="The label `cluster`, where one Prometheus holds several.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        help="Leave a window of the history out: 2026-11-01T00:00/2026-11-01T06:00 (UTC). Repeatable.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
IncludeSidecars = Annotated[
    bool, typer.Option("--include-sidecars", help="Size injected and native sidecars as well.", rich_help_panel=_PANEL)
]
AllowJvmCut = Annotated[
    bool, typer.Option("--allow-jvm-cut", help="Cut memory of Java virtual machines, too.", rich_help_panel=_PANEL)
]
RetargetHpa = Annotated[
    bool,
    typer.Option(
        "--retarget-hpa",
        help="Change requests that an HPA scales on, and print the HPA as it must become with them.",
        rich_help_panel=_PANEL,
    ),
]
CpuPrice = Annotated[
    float | None, typer.Option("--cpu-price", help="Of a core an hour: savings in money.", show_default=False)
]
MemoryPrice = Annotated[
    float | None, typer.Option("--memory-price", help="Of a GiB an hour: savings in money.", show_default=False)
]
HelmPath = Annotated[
    list[str] | None,
    typer.Option(
        "--helm-path",
        help="With -o helm-values: where a container's resources are, server=frontend.resources. Repeatable.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which workloads are asked for, and from what."""

    names: tuple[str, ...] = ()
    everything: bool = False
    all_namespaces: bool = False
    selector: str | None = None
    no_kubernetes: bool = False
    exclude: tuple[str, ...] = ()

    def flags(self, settings: Settings) -> list[str]:
        """What was given that only the cluster's own history answers."""
        given = {
            "--prometheus": settings.is_flag("prometheus_url"),
            "--history": settings.is_flag("history"),
            "--cluster": settings.is_flag("prometheus_cluster"),
            "-A": self.all_namespaces,
            "-l": self.selector is not None,
            "--no-kubernetes": self.no_kubernetes,
            "--exclude": bool(self.exclude),
            "--include-sidecars": settings.is_flag("policy_include_sidecars"),
            "--allow-jvm-cut": settings.is_flag("policy_allow_jvm_cut"),
        }
        named = [name for name in self.names if "/" in name]
        return [flag for flag, is_given in given.items() if is_given] + named

    def namespace(self, settings: Settings) -> str | None:
        """The namespace that is looked at; None for all. shop/frontend says it by itself."""
        from mora.fleet.names import names_a_kind

        if self.all_namespaces:
            return None
        placed = [name for name in self.names if "/" in name and not names_a_kind(name)]
        if not placed or settings.is_flag("namespace"):
            return settings.namespace
        said = {name.partition("/")[0] for name in placed}
        return said.pop() if len(said) == 1 and len(placed) == len(self.names) else None

    def check(self, settings: Settings) -> None:
        """Refuse what cannot be meant together."""
        if self.all_namespaces and settings.is_flag("namespace"):
            raise BadInput("-A is every namespace, and -n names one.", hint="Give one of them.")
        if not (self.names or self.everything or self.all_namespaces or self.selector):
            raise BadInput(
                "Which workloads?", hint="Name them (deployment/frontend), or give --all, -A, or a label selector (-l)."
            )
        if self.names and (self.everything or self.all_namespaces):
            raise BadInput("Workloads are named, and all are asked for.", hint="Give names, or --all or -A.")


def advice_from_history(
    asked: Asked, settings: Settings, *, stale_ok: bool
) -> tuple[list[Recommendation], list[WorkloadState]]:
    """Recommendations for what is asked, from what the cluster's Prometheus knows; and the workloads as they stand."""
    from mora import pipeline

    asked.check(settings)
    fleet = pipeline.fleet_settings(settings, excluded=asked.exclude)
    source = pipeline.open_fleet(settings, discover=not asked.no_kubernetes, say=say)
    namespace = asked.namespace(settings)
    states = pipeline.find_workload_states(
        source,
        namespace=namespace,
        selector=asked.selector,
        names=asked.names,
        kubernetes=not asked.no_kubernetes,
        remark=say,
    )
    if not asked.names and asked.selector is None:
        _tell_unmatched(settings, states, namespace)
    window = pipeline.fleet_window(settings.history)
    scheduler = settings.train.scheduler
    if scheduler is not None and len({state.workload.namespace for state in states}) < 2:
        say("All of it is in one namespace, which one worker would do: this machine sizes it.")
        scheduler = None
    with progress() as reporter:
        if scheduler is not None:
            say(f"Namespaces are sized by the workers of {scheduler}, from history alone: no trained model is asked.")
            on_workers = pipeline.recommend_fleet_on_cluster(
                states, settings, window, scheduler, fleet=fleet, reporter=reporter
            )
            advice = sorted(on_workers, key=lambda one: one.workload)
        else:
            advice = list(
                pipeline.recommend_fleet(
                    states,
                    source,
                    window,
                    settings=fleet,
                    models_dir=settings.models_dir,
                    data_dir=settings.data_dir,
                    slo=settings.slo,
                    stale_ok=stale_ok,
                    reporter=reporter,
                )
            )
    return _said_once(advice, source), states


def _tell_unmatched(settings: Settings, states: Sequence[WorkloadState], namespace: str | None) -> None:
    """A workload that is written wrong in mora.toml keeps its floor to itself; that must not go unseen."""
    there = {f"{one.workload.namespace}/{one.workload.name}" for one in states}
    for name in settings.fleet.workloads:
        if name not in there and namespace in (None, name.partition("/")[0]):
            say(f'[workloads."{name}"] in mora.toml meets no workload.')


def _said_once(advice: list[Recommendation], source: FleetSource) -> list[Recommendation]:
    """What a source warns of for all workloads is said once, and not under each of many."""
    shared = set(getattr(source, "warnings", ()))
    if len(advice) < 2 or not shared:
        return advice
    for warning in sorted(shared):
        say(warning)
    return [
        replace(one, reasons=tuple(why for why in one.reasons if why.code != "source" or why.text not in shared))
        for one in advice
    ]


def output_settings(
    settings: Settings,
    states: Sequence[WorkloadState],
    *,
    helm_paths: Sequence[str] = (),
    why: bool | None = None,
    vpa_cpu: bool = False,
    kustomize_version: str | None = None,
) -> OutputSettings:
    """What the outputs are told: flag > mora.toml > annotation of the workload, for the places of Helm values."""
    from mora.fleet.overrides import helm_paths as annotated_paths
    from mora.outputs import OutputSettings
    from mora.outputs.helm import parse_path

    told = OutputSettings(
        verbose=why,
        vpa_cpu=vpa_cpu,
        helm_paths={
            **annotated_paths(states),
            **dict(parse_path(f"{name}={path}") for name, path in settings.helm_paths.items()),
            **dict(parse_path(text) for text in helm_paths),
        },
        min_change=settings.policy.min_change,
    )
    if kustomize_version is not None:
        told = replace(told, kustomize_version=kustomize_version)
    prices = settings.prices.prices
    return told if prices is None else replace(told, prices=prices)


def is_change_due(recommendation: Recommendation) -> bool:
    """Whether any number of any container, a replica count or an HPA's target is to be changed."""
    parts = [recommendation.replicas]
    for one in recommendation.containers:
        parts += [one.cpu_request, one.cpu_limit, one.memory_request, one.memory_limit]
    return bool(recommendation.retargets) or any(
        (part.is_unset and part.now is not None) or (part.value is not None and part.value != part.now)
        for part in parts
    )
