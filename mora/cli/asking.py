"""What `mora recommend` and `mora explain` share: the options that ask, as one dataclass, and the answer to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora import values
from mora.cli.common import (
    EXIT_ERROR,
    Backend,
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    OldHorizon,
    PrometheusUrl,
    SandboxName,
    Scheduler,
    StateDir,
    current_name,
    progress,
    say,
    settings_of,
)
from mora.cli.taking import SOURCES, WHAT
from mora.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mora.pipeline import Advised, Request
    from mora.pipeline.scaling import DemandQuestion
    from mora.settings import Settings

LOAD, POLICY, OUTPUT = "Load and SLO", "Policy", "Output"
REPOSITORY = "Into a Git checkout"


def _flag(*names: str, panel: str, help: str) -> Any:  # typer's own word
    return typer.Option(*names, help=help, rich_help_panel=panel)


def _option(*names: str, panel: str, help: str, default: str | bool = False) -> Any:
    return typer.Option(*names, help=help, show_default=default, rich_help_panel=panel)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that ask for a recommendation; each is a flag or an argument of the same name."""

    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            help="NAME, KIND/NAME or NAMESPACE/NAME: frontend, deployment/frontend, shop/frontend.", show_default=False
        ),
    ] = None
    everything: Annotated[bool, _flag("--all", panel=WHAT, help="Every workload of the namespace.")] = False
    namespace: Namespace = None
    all_namespaces: Annotated[
        bool, _flag("--all-namespaces", "-A", panel=WHAT, help="Workloads of every namespace.")
    ] = False
    selector: Annotated[
        str | None,
        _option("--selector", "-l", panel=WHAT, help="Workloads with these labels, e.g. app=shop,tier!=test."),
    ] = None
    include_sidecars: Annotated[
        bool, _flag("--include-sidecars", panel=WHAT, help="Size injected and native sidecars as well.")
    ] = False

    users: Annotated[
        int | None,
        _option(
            "--users",
            "-u",
            panel=LOAD,
            help="Concurrent users to size for; needs a model trained on load experiments.",
            default="highest load that met the SLO",
        ),
    ] = None
    rps: Annotated[
        float | None,
        _option(
            "--rps",
            panel=LOAD,
            help="Requests per second to size for, in place of --users.",
            default="highest load that met the SLO",
        ),
    ] = None
    scenario: Annotated[
        str | None,
        _option(
            "--scenario", panel=LOAD, help="What the users do, e.g. checkout.", default="the most demanding scenario"
        ),
    ] = None
    horizon: Annotated[
        str | None,
        _option(
            "--horizon",
            panel=LOAD,
            help="From history: how far ahead the number must be right, e.g. 1h to resize in place.",
            default="24h",
        ),
    ] = None
    hold: OldHorizon = None
    slo_p95: Annotated[
        str | None,
        _option("--slo-p95", panel=LOAD, help="Response time that 95 % of requests must stay below.", default="300ms"),
    ] = None
    slo_errors: Annotated[
        str | None, _option("--slo-errors", panel=LOAD, help="Share of requests that may fail.", default="1%")
    ] = None

    target_utilisation: Annotated[
        str | None,
        _option("--target-utilisation", panel=POLICY, help="Share of a pod's CPU that may be in use.", default="0.7"),
    ] = None
    min_replicas: Annotated[
        int | None,
        _option(
            "--min-replicas", panel=POLICY, help="Minimum of replicas; 2 survives the loss of a node.", default="1"
        ),
    ] = None
    max_replicas: Annotated[
        int | None,
        _option("--max-replicas", panel=POLICY, help="Maximum of replicas.", default="the most that was measured"),
    ] = None
    allow_any_step: Annotated[
        bool,
        _flag("--allow-any-step", panel=POLICY, help="Cut by more than 50 % CPU and 30 % memory in one step."),
    ] = False
    allow_jvm_cut: Annotated[
        bool, _flag("--allow-jvm-cut", panel=POLICY, help="Cut memory of Java virtual machines, too.")
    ] = False
    cut_while_abnormal: Annotated[
        bool, _flag("--cut-while-abnormal", panel=POLICY, help="Make cuts although a service is abnormal now.")
    ] = False
    replicas: Annotated[
        str | None,
        _option(
            "--replicas",
            panel=POLICY,
            help="history: choose an autoscaler by the past demand, for -o hpa or -o keda. See docs/replicas.md.",
        ),
    ] = None
    pod_start_up: Annotated[
        str | None,
        _option("--pod-start-up", panel=POLICY, help="How long a new pod takes until it serves.", default="1m"),
    ] = None
    demand: Annotated[
        str | None,
        _option("--demand", panel=POLICY, help="PromQL of the demand, such as requests a second.", default="CPU"),
    ] = None
    demand_per_pod: Annotated[
        float | None,
        _option("--demand-per-pod", panel=POLICY, help="How much of --demand one pod carries."),
    ] = None
    pool: Annotated[
        str | None,
        _option(
            "--pool",
            panel=POLICY,
            help="node: CPU requests that add up to what each node must hold. See docs/pooling.md.",
        ),
    ] = None
    retarget_hpa: Annotated[
        bool,
        _flag(
            "--retarget-hpa", panel=POLICY, help="Change requests that an HPA scales on, and print the HPA to match."
        ),
    ] = False

    prometheus: PrometheusUrl = None
    history: Annotated[
        str | None,
        _option(
            "--history",
            panel=SOURCES,
            help="How far back Prometheus is read, e.g. 7d. Without --prometheus it is searched for in the cluster.",
            default="14d",
        ),
    ] = None
    source: Annotated[
        str,
        _option(
            "--source",
            panel=SOURCES,
            help="Read a cloud in place of Prometheus: gcp, aws, azure; aws:CLUSTER names one. See: mora sources",
            default="prometheus",
        ),
    ] = "prometheus"
    exclude: Annotated[
        list[str] | None,
        _option(
            "--exclude",
            panel=SOURCES,
            help="Leave a time range out of the history: 2026-11-01T00:00/2026-11-01T06:00 (UTC). Repeatable.",
        ),
    ] = None
    exclude_incidents: Annotated[
        list[str] | None,
        _option(
            "--exclude-incidents", panel=SOURCES, help="Leave out START/END, FILE or certain, and show both numbers."
        ),
    ] = None
    context: Annotated[
        list[str] | None,
        _option(
            "--context",
            panel=SOURCES,
            help="Cluster: a name under `clusters` of mora.toml, or a context of the kubeconfig. Repeat it for one "
            "table of several clusters.",
            default="the current context",
        ),
    ] = None
    all_clusters: Annotated[
        bool, _flag("--all-clusters", panel=SOURCES, help="All clusters of mora.toml (its tables clusters.NAME).")
    ] = False
    cluster: Annotated[
        str | None,
        _option("--cluster", panel=SOURCES, help="Value of the label `cluster`, where one Prometheus has several."),
    ] = None
    target: Annotated[
        str | None,
        _option(
            "--target",
            panel=SOURCES,
            help="Compare with what runs now: sandbox or kubernetes.",
            default="the cluster if it is read, else what ran when the data was collected",
        ),
    ] = None
    sandbox: SandboxName = "default"
    no_model: Annotated[bool, _flag("--no-model", panel=SOURCES, help="Leave trained models out.")] = False
    no_history: Annotated[bool, _flag("--no-history", panel=SOURCES, help="Leave Prometheus out.")] = False
    no_kubernetes: Annotated[
        bool,
        _flag(
            "--no-kubernetes",
            panel=SOURCES,
            help="Leave the Kubernetes API out: workloads are those that Prometheus knows (kube-state-metrics). "
            "The default without any kubeconfig.",
        ),
    ] = False
    stale_ok: Annotated[
        bool,
        _flag(
            "--stale-ok",
            panel=SOURCES,
            help="Use a model although its data is old, or image or limits have changed since.",
        ),
    ] = False
    include_flagged: IncludeFlagged = False
    data: DataDir = None
    models: ModelsDir = None
    state: StateDir = None
    backend: Backend = None
    scheduler: Scheduler = None

    def _rate(self) -> float | None:
        from mora import values

        try:
            return None if self.rps is None else values.rate(self.rps)
        except BadInput as error:
            raise BadInput(f"--rps: {error.message}", hint="For example: --rps 50.") from error

    @property
    def _is_pooled(self) -> bool:
        if self.pool not in (None, "node"):
            raise BadInput(f"--pool takes one word, node, and not {self.pool!r}.")
        return self.pool is not None

    def _scaling(self, settings: Settings) -> DemandQuestion | None:
        """How replicas are chosen by the past; -o keda has nothing to print without it."""
        from mora.pipeline.scaling import question_of

        if self.replicas not in (None, "history"):
            raise BadInput(f"--replicas takes one word, history, and not {self.replicas!r}.")
        if self.replicas is None and settings.output != "keda":
            if self.demand is not None or self.demand_per_pod is not None or self.pod_start_up is not None:
                raise BadInput("--demand and --pod-start-up are for --replicas history.", hint="Add it.")
            return None
        return question_of(self.pod_start_up, self.demand, self.demand_per_pod)

    @property
    def _address(self) -> str | None:
        """That of --source prometheus:URL, which is --prometheus URL."""
        name, _, address = self.source.partition(":")
        if name != "prometheus" or not address:
            return None
        if self.prometheus is not None:
            raise BadInput("--prometheus and --source prometheus:URL both name one.", hint="Give one of them.")
        return address

    @property
    def has_load(self) -> bool:
        """Whether a load is asked for, which load experiments alone can answer."""
        return self.users is not None or self.rps is not None or self.scenario is not None

    def settings(self, **more: Any) -> Settings:
        """The settings of this call. more: those of the command's own flags, by their names."""
        return settings_of(
            **more,
            data_dir=self.data,
            models_dir=self.models,
            state_dir=self.state,
            namespace=self.namespace,
            horizon=current_name("--horizon", self.horizon, "--hold", self.hold),
            history=self.history,
            slo_p95=self.slo_p95,
            slo_errors=self.slo_errors,
            replicas_target_utilisation=self.target_utilisation,
            replicas_min=self.min_replicas,
            replicas_max=self.max_replicas,
            policy_allow_any_step=self.allow_any_step or None,
            policy_allow_jvm_cut=self.allow_jvm_cut or None,
            policy_cut_while_abnormal=self.cut_while_abnormal or None,
            policy_include_sidecars=self.include_sidecars or None,
            policy_touch_autoscaled=self.retarget_hpa or None,
            prometheus_url=self._address or self.prometheus,
            prometheus_cluster=self.cluster,
            train_backend=self.backend,
            train_scheduler=self.scheduler,
        )

    def request(self, settings: Settings) -> Request:
        """What is asked for, without the settings."""
        from mora import pipeline
        from mora.outputs import DRAWS_HISTORY, MARKS_ABNORMAL

        return pipeline.Request(
            names=tuple(dict.fromkeys(self.workloads or ())),
            everything=self.everything,
            all_namespaces=self.all_namespaces,
            selector=self.selector,
            users=self.users,
            requests_per_second=self._rate(),
            scenario=self.scenario,
            use_model=not self.no_model,
            use_history=not self.no_history,
            use_kubernetes=not self.no_kubernetes,
            target=self.target,
            sandbox=self.sandbox,
            source="prometheus" if self._address else self.source,
            excluded=tuple(self.exclude or ()),
            incidents=tuple(self.exclude_incidents or ()),
            stale_ok=self.stale_ok,
            include_flagged=self.include_flagged,
            keeps_past=settings.output in DRAWS_HISTORY,
            replicas=self._scaling(settings),
            is_pooled=self._is_pooled,
            marks_abnormal=settings.output in MARKS_ABNORMAL,
        )

    def answer(self, settings: Settings) -> Advised:
        """What is recommended, with progress on stderr."""
        from mora import pipeline

        request = self.request(settings)
        clusters = self.clusters(settings)
        with progress() as reporter:
            if not clusters:
                return pipeline.recommend_workloads(request, settings, say=say, reporter=reporter)
            return pipeline.recommend_in_clusters(request, settings, clusters, say=say, reporter=reporter)

    def clusters(self, settings: Settings) -> Sequence[str]:
        """The clusters that are named; none where it is the current context's."""
        if not self.all_clusters:
            return [values.context(name) for name in self.context or ()]
        if self.context:
            raise BadInput("--all-clusters is every cluster of mora.toml, and --context names some.", hint="Give one.")
        if not settings.clusters:
            raise BadInput(
                "--all-clusters needs clusters in mora.toml, and there is none.",
                hint='Add some, like [clusters.prod] with context = "prod"; or name contexts: --context a --context b',
            )
        return list(settings.clusters)


def end_of(advised: Advised) -> None:
    """Say which clusters gave no answer, and end with an error where there is any."""
    for name, error in advised.failed:
        say(f"{name}: no answer. {error.message}" + (f" {error.hint}" if error.hint else ""))
    if advised.failed:
        raise typer.Exit(EXIT_ERROR)
