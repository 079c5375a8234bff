"""Several clusters in one answer: each is asked by itself, and one that is away costs its own rows alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from mora.clusters.kubeconfig import check_context
from mora.errors import BadInput, MoraError
from mora.pipeline.recommending import Advised, Request, recommend_workloads
from mora.seams import Reporter
from mora.settings import Settings

_MODELS_LEFT_OUT = (
    "Trained models are left out, since they do not say which of several clusters they are of: every number is from "
    "history."
)


def recommend_in_clusters(
    request: Request,
    settings: Settings,
    clusters: Sequence[str],
    *,
    say: Callable[[str], None] = lambda words: None,
    reporter: Reporter | None = None,
) -> Advised:
    """As recommend_workloads(), of each cluster in turn: names of [clusters.NAME], or of contexts of the kubeconfig.

    A cluster without an answer is listed under `failed`, with the error; where none has one, MoraError has the causes.
    Recommendations come cluster by cluster, in the order of the names.
    """
    request, of = for_each(request, settings, clusters, say=say)
    is_one = len(of) == 1
    advised: list[Advised] = []
    failed: list[tuple[str, MoraError]] = []
    for name in of:
        try:
            found = recommend_workloads(
                request, of[name], say=say if is_one else _with_name(name, say), reporter=reporter
            )
        except MoraError as error:
            if is_one:
                raise
            failed.append((name, error))
            continue
        context = of[name].kubernetes.context or ""
        advised.append(
            replace(
                found,
                recommendations=tuple(replace(one, cluster=name, context=context) for one in found.recommendations),
            )
        )
    if not advised:
        causes = " ".join(f"{name}: {error.message}" for name, error in failed)
        raise MoraError(f"No cluster has an answer. {causes}", hint=failed[0][1].hint)
    return Advised(
        tuple(one for found in advised for one in found.recommendations),
        tuple(state for found in advised for state in found.states),
        tuple(dict.fromkeys(asked for found in advised for asked in found.asked)),
        tuple(failed),
    )


def for_each(
    request: Request, settings: Settings, clusters: Sequence[str], *, say: Callable[[str], None] = lambda words: None
) -> tuple[Request, dict[str, Settings]]:
    """The request as each of some clusters is asked, and the settings of each by its name.

    Raises BadInput for a name that is neither under [clusters] nor a context, and where two of them would be read from
    the same Prometheus without a label that tells them apart.
    """
    request.check(settings)
    of = {name: settings.of_cluster(name) for name in dict.fromkeys(clusters)}
    _check(request, of)
    if request.use_kubernetes:
        for name in of:
            if name not in settings.clusters:
                check_context(None, name, also=settings.clusters)
    if len(of) > 1 and request.use_model:
        request = replace(request, use_model=False)
        say(_MODELS_LEFT_OUT)
    return request, of


def _with_name(name: str, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda words: say(f"{name}: {words}")


def _check(request: Request, of: dict[str, Settings]) -> None:
    """Refuse what would give rows to the wrong cluster."""
    if request.target == "sandbox":
        raise BadInput("--target sandbox is no cluster of a kubeconfig.", hint="Leave out --context, or --target.")
    if request.is_cloud and len(of) > 1:
        raise BadInput(
            f"--source {request.source} is of one cluster, and {len(of)} are named.",
            hint="Ask for each cluster by itself.",
        )
    by_place: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
    for name, settings in of.items():
        if settings.prometheus.url is not None and request.use_history:
            by_place[settings.prometheus.url, settings.prometheus.cluster].append(name)
    urls = [url for url, _ in by_place]
    for (url, label), names in by_place.items():
        if label is None and urls.count(url) > 1:
            raise BadInput(
                f"{names[0]} would be read without a label `cluster` from {url}, a Prometheus of several clusters: its "
                "rows would be those of all of them.",
                hint=f"Give it its own in mora.toml: [clusters.{names[0]}.prometheus] with cluster.",
            )
        if len(names) > 1:
            whose = f"with the label cluster={label!r}" if label else "without a label `cluster`"
            raise BadInput(
                f"{' and '.join(names)} would be read from the same Prometheus, {url}, {whose}: their rows would be "
                "the same.",
                hint=f"Give each its own in mora.toml: [clusters.{names[0]}.prometheus] with url, or with cluster "
                "where one Prometheus has several. Without a url, the cluster's own Prometheus is looked for.",
            )
