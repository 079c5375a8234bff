"""mora repo: what a Git checkout lacks by itself, and what it sets of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import (
    EXIT_CHANGE_DUE,
    Namespace,
    PrometheusUrl,
    on_one_line,
    progress,
    say,
    settings_of,
    show,
)
from mora.cli.repository import tell_skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mora.domain import WorkloadState
    from mora.repo.checkout import Checkout

app = typer.Typer(
    help="Check the manifests of a Git checkout.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _repo() -> None:
    """Keep `check` a command of its own."""


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of one checkout.", show_default="this folder")
    ] = None,
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Where every workload of the cluster is set.")
    ] = False,
    selector: Annotated[
        str | None,
        typer.Option("--selector", "-l", help="Where workloads with these labels are set.", show_default=False),
    ] = None,
    prometheus: PrometheusUrl = None,
    no_kubernetes: Annotated[
        bool,
        typer.Option("--no-kubernetes", help="With -n or -A: the workloads are those that Prometheus knows."),
    ] = False,
) -> None:
    """Name the containers that request no CPU or no memory, without a cluster; for CI and pre-commit.

    It reads manifests and Kustomize, each overlay as it is built. It leaves
    out init containers, and values of Helm charts, whose defaults no
    repository shows. Exits with 3 where it names any.

    With -n, -A or -l it asks the cluster, and names the place of each of its
    containers in the checkout, or why there is none; 3 where one has none.

    \b
    mora repo check
    mora repo check ~/src/clusters/apps
    mora repo check ~/src/clusters -A
    """
    from mora.errors import BadInput
    from mora.quantities import counted
    from mora.repo.changes import all_sites
    from mora.repo.check import bare, judged
    from mora.repo.checkout import Checkout
    from mora.repo.git import top_of

    asked = [path.resolve() for path in paths or [Path()]]
    gone = [path for path in asked if not path.exists()]
    if gone:
        raise BadInput(f"{gone[0]} does not exist.", hint="Name folders or files of a checkout.")
    first = asked[0] if asked[0].is_dir() else asked[0].parent
    checkout = Checkout(top_of(first) or first)
    if all_namespaces or namespace is not None or selector is not None:
        if all_namespaces and namespace is not None:
            raise BadInput("-A is every namespace, and -n names one.", hint="Give one of them.")
        if asked != [checkout.top]:
            say(f"All of {checkout.top} is searched: a place may be anywhere in a checkout.")
        states = _states(namespace, selector, prometheus, everywhere=all_namespaces, kubernetes=not no_kubernetes)
        if _show_places(checkout, states):
            raise typer.Exit(EXIT_CHANGE_DUE)
        return
    if prometheus is not None or no_kubernetes:
        raise BadInput("Which workloads of the cluster?", hint="Give -n NAMESPACE, or -A for all.")
    outside = [path for path in asked if not path.is_relative_to(checkout.top)]
    if outside:
        raise BadInput(f"{outside[0]} is not in the checkout {checkout.top}.", hint="Check one checkout at a time.")
    with progress() as reporter:
        within = [str(path.relative_to(checkout.top)) for path in asked]
        sites = all_sites(checkout, reporter=reporter)
        found, looked_at = bare(sites, within), len(judged(sites, within))
    tell_skipped(checkout)
    for one in found:
        line = "" if one.site.line is None else f":{one.site.line}"
        show(on_one_line(f"{one.site.file}{line}: {one.who}: no {' and no '.join(one.missing)} request"))
    if found:
        say(f"{counted(len(found), 'container')} without a request. Sizes from recorded use: mora recommend --repo")
        raise typer.Exit(EXIT_CHANGE_DUE)
    if looked_at:
        say(f"Every container requests CPU and memory: {counted(looked_at, 'container')} of manifests.")
    else:
        say("There is no container of a manifest here to check.")


def _states(
    namespace: str | None, selector: str | None, prometheus: str | None, *, everywhere: bool, kubernetes: bool
) -> Sequence[WorkloadState]:
    """The workloads of the cluster, as the Kubernetes API knows them or Prometheus alone."""
    from mora import pipeline

    settings = settings_of(namespace=namespace, prometheus_url=prometheus)
    where = None if everywhere else settings.namespace
    if kubernetes:
        from mora.clusters.inventory import KubernetesInventory

        inventory = KubernetesInventory(settings.kubernetes.kubeconfig, settings.kubernetes.context)
        found = inventory.states(where, selector)
        for reason in inventory.remarks:
            say(reason.text)
        return found
    source = pipeline.open_fleet(settings, discover=settings.prometheus.url is None, say=say)
    return pipeline.find_workload_states(source, namespace=where, selector=selector, kubernetes=False, remark=say)


def _show_places(checkout: Checkout, states: Sequence[WorkloadState]) -> bool:
    """Print the place of each container; whether any has none."""
    from mora.columns import columns
    from mora.quantities import counted
    from mora.repo.changes import all_sites
    from mora.repo.check import placed

    with progress() as reporter:
        found = placed(states, all_sites(checkout, reporter=reporter))
    rows = [("WORKLOAD", "CONTAINER", "PLACE", "BY, OR WHY NONE")]
    for one in found:
        who = f"{one.workload.namespace}/{one.workload.name}"
        where, why = ("none", one.reason) if one.site is None else (one.site.where, ", ".join(one.evidence))
        rows.append((who, one.container.name, on_one_line(where), on_one_line(why)))
    for line in columns(rows, is_right=[False] * 4):
        show(line)
    tell_skipped(checkout)
    known = sum(one.site is not None for one in found)
    say(f"{known} of {counted(len(found), 'container')} of {counted(len(states), 'workload')} have a place here.")
    return known < len(found)
