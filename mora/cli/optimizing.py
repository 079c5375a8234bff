"""What `mora optimize` does once it is clear what is asked: the place, the run, the answer, restoring."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from mora.cli import collect_kubernetes
from mora.cli.common import EXIT_CONTENDED, EXIT_ERROR, progress, say, show
from mora.cli.running import KINDS, PATIENCE
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.pipeline import Place
    from mora.pipeline.optimising import Optimised, Question
    from mora.settings import Settings


def preview(question: Question) -> None:
    """Print what would be driven."""
    from mora.optimize.learn import MOST_RUNS, Pace
    from mora.quantities import format_duration

    pace = Pace.of(question.interval)
    show("Experiments, in this order:")
    for one in question.classes:
        show(f"  {one.words(max(one.users // 3, 1))} alone, every service ample")
    together = " and ".join(one.words() for one in question.classes)
    show(f"  {together}, every service ample: the latency that no squeezing can go below")
    show("  the same load, each service alone squeezed in up to 4 steps, until an SLO breaks")
    show(f"  at most {MOST_RUNS} in all")
    times = pace.squeeze
    longest = MOST_RUNS * (times.ramp + times.settle + times.duration) + 2 * len(question.classes) * pace.probe.duration
    show(
        f"Then the answer is applied and driven, at most 3 times. About {format_duration(longest, about=True)} in all."
    )
    show("At the end replicas, requests and limits are as before.")


# --- where -----------------------------------------------------------------------------------------------------------


def on_sandbox(
    name: str, names: list[str], question: Question, cap: str | None, settings: Settings, output: str | None
) -> None:
    """Run it on the sandbox of that name; where none is running, on one of its own."""
    from mora import pipeline
    from mora.fleet.names import pick
    from mora.harness.restore import SANDBOX
    from mora.harness.restore import Place as Lasting
    from mora.sandbox.state import list_sandboxes

    is_running = name in list_sandboxes()
    with pipeline.sandbox_place(name, say=say) as place:
        place = replace(place, workloads=pick(place.workloads, names, KINDS))
        if is_running:
            # It goes on after this run, so what a killed run leaves changed has to be known.
            place = replace(place, lasting=Lasting(f"{SANDBOX}{name}", f"sandbox {name}"))
        _answer(place, question, cap, settings, output)


def on_kubernetes(
    url: str | None,
    entry: str,
    names: list[str],
    question: Question,
    cap: str | None,
    settings: Settings,
    output: str | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Check, then run where `yes` confirms it; with `dry_run` print the checks and what would be driven."""
    from mora import pipeline
    from mora.clusters.kubernetes import KubernetesCluster
    from mora.clusters.preflight import examine
    from mora.harness.load import check_url
    from mora.pipeline.optimising import quota_terms
    from mora.values import shown

    cluster = KubernetesCluster()
    found = collect_kubernetes.find_workloads(cluster, settings.namespace, names)
    source = pipeline.open_prometheus(settings, discover=True, say=say)
    workloads = collect_kubernetes.measured(found, source.services(settings.namespace), names)
    findings = examine(cluster, targets=workloads, measured=workloads, most_replicas=question.terms.min_replicas + 1)
    for finding in findings:
        (show if dry_run else say)(str(finding))
    if dry_run:
        show()
        preview(question)
        collect_kubernetes.refuse(findings)
        return
    collect_kubernetes.refuse(findings)
    if url is None:
        raise BadInput("Where should the load go?", hint="Give the shop's address: --url http://shop.example/")
    check_url(url, allow_remote=True)
    if entry not in {workload.name for workload in workloads}:
        raise BadInput(f"The load goes to {entry!r}, which is not one of the services.", hint="Name it: --entry NAME")
    if not yes:
        targets = ", ".join(workload.name for workload in workloads)
        raise BadInput(
            f"This resizes {targets} in namespace {settings.namespace!r} of {cluster.context}, and loads {shown(url)}.",
            hint="See it first with --dry-run; confirm with --yes.",
        )
    place = pipeline.Place(
        cluster, source, tuple(workloads), entry, url, lasting=collect_kubernetes.lasting_place(cluster)
    )
    question = replace(question, allow_remote=True, terms=quota_terms(question.terms, place, settings.namespace))
    _answer(place, question, cap, settings, output)


def restore(sandbox: str, settings: Settings, *, dry_run: bool) -> None:
    """Restore what killed runs left changed: in a running sandbox, or in the cluster."""
    from mora.harness.ledger import locked
    from mora.harness.restore import SANDBOX, unrestored
    from mora.harness.restore import Place as Lasting
    from mora.harness.restore import restore as put_back

    if settings.target != "sandbox":
        collect_kubernetes.restore(settings, dry_run=dry_run)
        return
    if not unrestored(settings.data_dir):
        show(f"Nothing to restore: no run in {settings.data_dir} left a sandbox changed.")
        return
    from mora.clusters.sandbox import SandboxCluster

    place = Lasting(f"{SANDBOX}{sandbox}", f"sandbox {sandbox}")
    with locked(settings.data_dir):
        cluster = SandboxCluster(name=sandbox)
        for line in put_back(settings.data_dir, cluster, place, now=datetime.now(UTC), dry_run=dry_run):
            show(line)


# --- the answer ------------------------------------------------------------------------------------------------------


def _answer(place: Place, question: Question, cap: str | None, settings: Settings, output: str | None) -> None:
    from mora import pipeline, values
    from mora.optimize.problem import NoChoice
    from mora.pipeline.optimising import cluster_terms, optimize

    if cap is not None:
        question = replace(question, terms=cluster_terms(question.terms, place, values.positive_ratio(cap)))
    pipeline.await_quiet(place, limit=PATIENCE, say=say)
    try:
        with progress() as reporter:
            answer = optimize(question, place, reporter=reporter)
    except NoChoice as error:
        raise _nothing(question) from error
    give(answer, output, settings)


def give(answer: Optimised, output: str | None, settings: Settings) -> None:
    """Print the answer. One that was not confirmed as asked ends with an error, and no output of it can be applied."""
    from mora import pipeline
    from mora.outputs import is_applied
    from mora.pipeline.optimising import describe_answer, recommendations_of

    is_open = answer.question.confirms and not answer.is_kept
    say(f"The experiments are in {answer.journal}; --reuse answers other loads from them.")
    if output is None:
        show(describe_answer(answer).rstrip("\n"))
    elif is_open and is_applied(output):
        say(
            f"Nothing is printed: -o {output} is to be applied, and the answer is not confirmed. Look at it without -o."
        )
    else:
        if not answer.solution.is_whole:
            say("Not all users are served: see the answer without -o.")
        sys.stdout.write(pipeline.render(recommendations_of(answer, settings.policy), output))
    if is_open:
        if answer.is_contended:
            say("No verdict: the machine was busy while the answer was confirmed. Run it again with --reuse.")
        elif output is not None:
            say("NOT confirmed: the load broke its SLO on this answer. Do not apply it; ask for a larger --margin.")
        raise typer.Exit(EXIT_CONTENDED if answer.is_contended else EXIT_ERROR)


def _nothing(question: Question) -> MoraError:
    first = question.classes[0]
    capped = f", within {question.terms.cap_name}" if question.terms.millicores is not None else ""
    return MoraError(
        f"Not even one user of {first.scenario} can be served within its SLO{capped}.",
        hint="Allow more (--cluster-cap, --max-pod-cpu), keep less free (--margin), or ask for a slower p95 "
        "(--slo-p95).",
    )
