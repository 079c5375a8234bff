"""mora collect --target kubernetes: preflight, confirmation, the run, and restoring what a killed run left changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mora.cli.common import say, show
from mora.cli.running import KINDS, preview, run_plan
from mora.errors import BadInput, ClusterError, MoraError
from mora.values import shown

if TYPE_CHECKING:
    from mora.clusters.kubernetes import KubernetesCluster
    from mora.clusters.preflight import Finding
    from mora.domain import Workload
    from mora.harness.plan import Plan
    from mora.harness.restore import Place
    from mora.settings import Settings


def find_workloads(cluster: KubernetesCluster, namespace: str, names: Sequence[str]) -> tuple[Workload, ...]:
    """The workloads that were named (frontend, statefulset/redis), all where none was, with the kinds they have.

    Raises BadInput naming those there are; where a name has two kinds, asks which.
    """
    from mora.fleet.names import pick

    known = sorted(cluster.workloads(namespace))
    if not known:
        raise BadInput(f"Namespace {namespace!r} has no workloads.", hint="Name the namespace with -n.")
    return pick(known, names, KINDS)


def preflight(cluster: KubernetesCluster, plan: Plan, workloads: Sequence[Workload]) -> list[Finding]:
    """The checks before this plan changes these workloads."""
    from mora.clusters.preflight import examine
    from mora.harness.preview import target_workloads

    targets = target_workloads(plan, workloads)
    return examine(cluster, targets=targets, measured=workloads, most_replicas=plan.most_replicas)


def check_target_of_load(plan: Plan, workloads: Sequence[Workload], entry: str, url: str | None) -> Finding:
    """Whether the load can be driven, as the run itself checks it."""
    from mora.clusters.preflight import Finding
    from mora.harness.preview import check_load

    try:
        check_load(plan, workloads, entry_service=entry, load_url=url, allow_remote=True)
    except MoraError as error:
        return Finding(error.message.rstrip("."), is_ok=False, remedy=error.hint or "")
    return Finding(f"the load goes to {entry}" + (f" at {shown(url)}" if url is not None else "; --url says where"))


def refuse(findings: Sequence[Finding]) -> None:
    """Raise ClusterError where a check failed."""
    bad = [finding for finding in findings if not finding.is_ok]
    if bad:
        problems = "is 1 problem" if len(bad) == 1 else f"are {len(bad)} problems"
        words = "; ".join(finding.words for finding in bad)
        remedies = "\n      ".join(dict.fromkeys(finding.remedy for finding in bad if finding.remedy))
        raise ClusterError(f"There {problems}, and nothing was changed: {words}.", hint=remedies or None)


def lasting_place(cluster: KubernetesCluster) -> Place:
    """The cluster as a restore point names it."""
    from mora.harness.restore import Place

    context = cluster.context
    return Place(server=context.server, words=str(context))


def measured(workloads: Sequence[Workload], seen: Sequence[str], names: Sequence[str]) -> tuple[Workload, ...]:
    """Those that Prometheus knows. An unknown one is skipped with a note; BadInput where it was named."""
    unseen = [workload.name for workload in workloads if workload.name not in seen]
    if unseen and names:
        raise BadInput(
            f"Prometheus has no data of {', '.join(unseen)}.",
            hint=f"It has data of {', '.join(seen) or 'none of this namespace'}. Is kube-state-metrics scraped?",
        )
    if unseen:
        say(f"Skipped, because Prometheus has no data of them: {', '.join(unseen)}.")
    return tuple(workload for workload in workloads if workload.name in seen)


def restore(settings: Settings, *, dry_run: bool) -> None:
    """Restore what killed runs left changed, and print it."""
    from mora.clusters.kubernetes import KubernetesCluster
    from mora.harness.ledger import locked
    from mora.harness.restore import restore as put_back
    from mora.harness.restore import unrestored

    if not unrestored(settings.data_dir):
        show(f"Nothing to restore: no run in {settings.data_dir} left a cluster changed.")
        return
    cluster = KubernetesCluster()
    with locked(settings.data_dir):
        for line in put_back(
            settings.data_dir, cluster, lasting_place(cluster), now=datetime.now(UTC), dry_run=dry_run
        ):
            show(line)


def collect(
    url: str | None,
    entry: str,
    names: Sequence[str],
    settings: Settings,
    *,
    resume: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Check, then run where `yes` confirms it; with `dry_run` print what would be done."""
    from mora import pipeline
    from mora.clusters.kubernetes import KubernetesCluster
    from mora.harness.nodes import NodeHost
    from mora.harness.plan import Plan
    from mora.harness.preview import target_workloads
    from mora.harness.restore import refuse_unrestored

    plan = Plan.load(settings.plan)
    cluster = KubernetesCluster()
    if not resume:
        refuse_unrestored(settings.data_dir, run_id=None)
    found = find_workloads(cluster, settings.namespace, names)
    source = pipeline.open_prometheus(settings, discover=True, say=say)
    workloads = measured(found, source.services(settings.namespace), names)
    findings = [*preflight(cluster, plan, workloads), check_target_of_load(plan, workloads, entry, url)]
    if dry_run:
        for finding in findings:
            show(finding)
        show()
        preview(source, workloads, settings)
        refuse(findings)
        return
    for finding in findings:
        say(str(finding))
    refuse(findings)
    if url is None:
        raise BadInput("Where should the load go?", hint="Give the shop's address: --url http://shop.example/")
    if not yes:
        targets = ", ".join(workload.name for workload in target_workloads(plan, workloads))
        raise BadInput(
            f"This scales {targets} in namespace {settings.namespace!r} of {cluster.context}, and loads {shown(url)}.",
            hint="See it first with --dry-run; confirm with --yes.",
        )
    place = pipeline.Place(cluster, source, workloads, entry, url, host=NodeHost(source, settings.namespace))
    run_plan(replace(place, lasting=lasting_place(cluster)), settings, resume=resume, agreed=True)
