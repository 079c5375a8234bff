"""Optimising: the fewest cores that serve the loads of a whole shop within their SLOs, learnt and proved at a place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import Allocation, Recommendation, Workload
from mora.errors import BadInput, MoraError
from mora.pipeline.collecting import Place
from mora.quantities import format_moment
from mora.seams import Cluster, Reporter, Silent

if TYPE_CHECKING:
    from mora.harness.drive import Site
    from mora.harness.restore import Original
    from mora.optimize.prove import Proof
    from mora.optimize.solve import Learned, LoadClass, Solution, Terms
    from mora.policies import PolicySettings

_DEFAULT_INTERVAL = timedelta(seconds=1)
# A new Prometheus scrapes 5 s after its start, and every few seconds from then on.
_FIRST_SCRAPE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. classes: in the order of their priority. resume: continue the experiments of a killed run.

    reuse: take what an earlier run measured for the same services, without new experiments. interval: between two
    samples of the place's metrics. confirms: drive the answer's load on the answer.
    """

    classes: tuple[LoadClass, ...]
    scenario_files: Mapping[str, Path]
    terms: Terms
    data_dir: Path
    interval: timedelta = _DEFAULT_INTERVAL
    resume: bool = False
    reuse: Path | None = None
    confirms: bool = True
    allow_remote: bool = False


@dataclass(frozen=True, slots=True)
class Optimised:
    """What came of it. solution: the answer; proofs: its confirmations, in order. learned: what it was computed from.

    runs: how many experiments there were. journal: the file that has them. originals: how the services stood.
    """

    question: Question
    solution: Solution
    learned: Learned
    proofs: tuple[Proof, ...]
    runs: int
    journal: Path
    originals: Mapping[Workload, Allocation] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Whether a confirmation of the answer kept every SLO."""
        return any(proof.kept and proof.solution is self.solution for proof in self.proofs)

    @property
    def is_contended(self) -> bool:
        """Whether the last confirmation has no verdict, since the machines were busy."""
        return bool(self.proofs) and self.proofs[-1].is_without_verdict


def optimize(question: Question, place: Place, *, reporter: Reporter | None = None) -> Optimised:
    """Learn at a place, solve, and prove the answer there; replicas, requests and limits are restored however it ends.

    Raises BadInput before anything is changed, where a target is scaled by an HPA or a journal cannot be used, and
    after the baseline where no allocation can keep an SLO; NoChoice where not even one user can be served.
    """
    from mora.harness.ledger import locked
    from mora.optimize.journal import digest_of, open_journal, read_journal
    from mora.optimize.learn import Learner, Pace
    from mora.optimize.prove import Prover, best
    from mora.optimize.solve import check_baseline, solve

    reporter = reporter or Silent()
    originals: Mapping[Workload, Allocation] = _originals(place)
    site = _site_of(place, question)
    digest = digest_of(_content(question, place))
    now = format_moment(datetime.now(UTC), "seconds")
    with locked(question.data_dir):
        if question.reuse is not None:
            journal = read_journal(question.reuse)
        else:
            journal = open_journal(question.data_dir, digest, now, resume=question.resume)
        pace = Pace.of(question.interval)
        with _restoring(place, originals, question.data_dir, run_id=f"optimize-{digest}") as originals:
            learner = Learner(
                site,
                question.classes,
                question.scenario_files,
                place.workloads,
                originals,
                question.terms,
                pace,
                journal,
                reporter,
                calls=_calls_of(place),
            )
            learned = learner.run() if question.reuse is None else learner.known()
            check_baseline(learned, question.classes)
            if not question.confirms:
                solution = solve(learned, question.classes, question.terms)
                return Optimised(question, solution, learned, (), len(journal.steps), journal.path, originals)
            prover = Prover(site, question.scenario_files, originals, pace.confirm, reporter)
            proofs = prover.run(learned, question.classes, question.terms)
    proof = best(proofs) or proofs[-1]
    return Optimised(
        question, proof.solution, proof.learned, tuple(proofs), len(journal.steps), journal.path, originals
    )


def _site_of(place: Place, question: Question) -> Site:
    return place.site(allow_remote=question.allow_remote)


def _originals(place: Place) -> dict[Workload, Allocation]:
    """How the services stand; BadInput where an autoscaler would undo what the experiments set."""
    found: dict[Workload, Allocation] = {}
    for workload in place.workloads:
        allocation = place.cluster.allocation(workload)
        if allocation.autoscaler is not None:
            raise BadInput(
                f"The autoscaler {allocation.autoscaler.name} scales {workload.name} and would undo the replicas of "
                "the experiments.",
                hint=f"Delete it for the run (kubectl delete hpa {allocation.autoscaler.name}), or leave the service "
                "out with --services.",
            )
        if allocation.replicas is None:
            raise BadInput(
                f"{workload.name} ({workload.kind}) has no replicas to set.", hint="Leave it out with --services."
            )
        found[workload] = allocation
    return found


def _content(question: Question, place: Place) -> dict[str, object]:
    """What the measured numbers depend on."""
    return {
        "classes": [[one.words(), one.slo.p95_seconds, one.slo.error_ratio] for one in question.classes],
        "scenarios": {name: path.read_text(encoding="utf-8") for name, path in question.scenario_files.items()},
        "services": sorted(f"{one.namespace}/{one.kind}/{one.name}" for one in place.workloads),
        "entry": place.entry_service,
        "pods": [question.terms.most_pod_millicores, question.terms.min_replicas],
        "interval": question.interval.total_seconds(),
    }


@contextmanager
def _restoring(
    place: Place, originals: Mapping[Workload, Allocation], data_dir: Path, *, run_id: str
) -> Iterator[Mapping[Workload, Allocation]]:
    """How the services stood before; restored at the end, however it comes. After a kill -9 `--restore` does it.

    Where a killed run of the same question left them changed, that is how they stood before that run.
    """
    from mora.clusters.connection import NotFound
    from mora.harness.restore import (
        RestorePoint,
        mark_restored,
        read_originals,
        record_restore_point,
        refuse_unrestored,
    )

    if place.lasting is not None:
        refuse_unrestored(data_dir, run_id=run_id)
        written = format_moment(datetime.now(UTC), "seconds")
        stands = read_originals(place.cluster, place.workloads)
        point = RestorePoint(run_id, written, place.lasting, stands, with_resources=True)
        before = {one.workload: one for one in record_restore_point(data_dir, point).targets}
        originals = {
            workload: _with(allocation, before[workload]) if workload in before else allocation
            for workload, allocation in originals.items()
        }
    try:
        yield originals
    finally:
        failed: list[str] = []
        for workload, allocation in originals.items():
            try:
                _put_back(place.cluster, workload, allocation)
            except NotFound:
                continue  # deleted meanwhile: the error that ended the run says so
            except MoraError as error:
                failed.append(f"{workload.name}: {error.message}")
        if failed:
            raise MoraError(
                f"Replicas, requests and limits were not all restored. {' '.join(failed)}",
                hint="Restore them: mora optimize --restore, with --target and -n as before",
            )
        if place.lasting is not None:
            mark_restored(data_dir, run_id, now=datetime.now(UTC))


def _with(now: Allocation, before: Original) -> Allocation:
    """How a workload stood: its containers as they are, with the replicas, requests and limits from before."""
    containers = tuple(replace(one, resources=before.resources.get(one.name, one.resources)) for one in now.containers)
    return replace(now, replicas=before.replicas, containers=containers)


def _put_back(cluster: Cluster, workload: Workload, allocation: Allocation) -> None:
    """Restore replicas, and the containers whose requests or limits are others now."""
    from mora.harness.restore import Original

    resources = {one.name: one.resources for one in allocation.containers}
    original = Original(workload, allocation.replicas or 0, resources)
    cluster.apply(workload, original.restored(cluster.allocation(workload)))


def _calls_of(place: Place) -> Callable[[datetime, datetime], tuple[frozenset[str], ...]]:
    """Asks the place's Prometheus which services a class waits for at the same time; nothing where it has none."""
    from mora.sources.prometheus.calls import read_calls
    from mora.sources.prometheus.observe import PrometheusSource

    source = place.source
    if not isinstance(source, PrometheusSource):
        return lambda start, end: ()
    namespace = place.workloads[0].namespace

    def together(start: datetime, end: datetime) -> tuple[frozenset[str], ...]:
        with source.wire() as wire:
            known = {workload.name for workload in place.workloads}
            return tuple(group for group in read_calls(wire, namespace, start, end).together() if group <= known)

    return together


def cluster_terms(terms: Terms, place: Place, cap: float) -> Terms:
    """The terms with the cluster's cap: a share of what its nodes have, less what other pods reserve there."""
    from mora.optimize.problem import Node
    from mora.sources.prometheus.observe import PrometheusSource
    from mora.sources.prometheus.reserved import read_rooms

    if not isinstance(place.source, PrometheusSource):
        raise BadInput("The size of the cluster is not known without a Prometheus.")
    deadline = time.monotonic() + _FIRST_SCRAPE_SECONDS
    with place.source.wire() as wire:
        while not (rooms := read_rooms(wire, place.workloads, datetime.now(UTC))):
            if time.monotonic() > deadline:
                break
            time.sleep(1.0)  # a Prometheus that has just started has not scraped yet
    if not rooms:
        raise BadInput(
            "The size of the cluster is not known: Prometheus has no kube_node_status_allocatable.",
            hint="Scrape kube-state-metrics, or leave out --cluster-cap.",
        )
    others_cores, others_bytes = sum(room.taken_millicores for room in rooms), sum(room.taken_bytes for room in rooms)
    millicores = max(int(cap * sum(room.millicores for room in rooms)) - others_cores, 0)
    memory_bytes = max(int(cap * sum(room.memory_bytes for room in rooms)) - others_bytes, 0)
    name, before = f"{cap:.0%} of the cluster's cores and memory", (terms.millicores, terms.memory_bytes)
    return replace(
        terms,
        # A quota may leave less: both hold.
        millicores=millicores if terms.millicores is None else min(millicores, terms.millicores),
        memory_bytes=memory_bytes if terms.memory_bytes is None else min(memory_bytes, terms.memory_bytes),
        nodes=tuple(
            Node(max(room.millicores - room.taken_millicores, 0), max(room.memory_bytes - room.taken_bytes, 0))
            for room in rooms
        ),
        cap_name=name if before == (None, None) else f"{name}, and {terms.cap_name}",
    )


def quota_terms(terms: Terms, place: Place, namespace: str) -> Terms:
    """The terms with what the namespace's quotas leave for these services: what is free, and what they have now."""
    from mora.clusters.inventory import KubernetesInventory

    states = [state for state in KubernetesInventory().states(namespace) if state.workload in place.workloads]
    own = [state.allocation for state in states]
    for quota in states[0].quotas if states else ():
        for field_of_terms, amount in (
            ("millicores", "cpu_request_millicores"),
            ("memory_bytes", "memory_request_bytes"),
        ):
            hard, used = getattr(quota.hard, amount), getattr(quota.used, amount)
            if hard is not None:
                mine = sum((one.replicas or 0) * one.effective(amount) for one in own)
                left = max(hard - (used or 0) + mine, 0)
                before = getattr(terms, field_of_terms)
                if before is None or left < before:
                    terms = replace(terms, **{field_of_terms: left, "cap_name": f"the quota {quota.name}"})
    return terms


def describe_answer(answer: Optimised) -> str:
    """The answer as text, with its proof, the binding constraint and the price of the SLO."""
    from mora.optimize.prices import sensitivity
    from mora.optimize.report import describe

    question = answer.question
    return describe(
        answer.solution,
        answer.proofs,
        sensitivity(answer.learned, question.classes, question.terms, answer.solution),
        now={workload.name: allocation for workload, allocation in answer.originals.items()},
        runs=answer.runs,
    )


def recommendations_of(answer: Optimised, policy: PolicySettings) -> list[Recommendation]:
    """The answer as recommendations, for every output of `mora recommend`."""
    from mora.optimize.advice import recommendations

    if not answer.proofs:
        proven = "not confirmed: the load was not driven on it"
    elif answer.is_kept:
        proven = "confirmed: driven with limits equal to requests, every SLO was kept"
    elif answer.is_contended:
        proven = "not confirmed: the machine was busy while the load was driven on it, so there is no verdict"
    else:
        proven = "NOT confirmed: driven on it, the load broke its SLO; do not apply it"
    return recommendations(answer.solution, answer.originals, as_of=datetime.now(UTC), policy=policy, proven=proven)
