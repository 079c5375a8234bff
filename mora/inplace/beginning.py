"""A renewal: for every workload, whether its new numbers are followed, and the first pod that gets them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from mora.clusters.pods import FIRST_VERSION, KINDS
from mora.domain import Recommendation, Resources, Workload
from mora.domain.pods import RunningPod
from mora.errors import ClusterError
from mora.inplace import rules
from mora.inplace.book import write_amounts
from mora.inplace.fit import in_words, left_to_others, possible, stepped, wanted_of
from mora.inplace.guards import why_not_begin
from mora.inplace.looking import ask, end, is_refusal
from mora.inplace.loop import Desk, Halt
from mora.quantities import counted

# Reasons of a recommendation that make it unsafe to follow without anybody looking on.
_UNKNOWN = ("autoscalers-unknown", "vpas-unknown")


def begin(desk: Desk, recommendations: Sequence[Recommendation]) -> None:
    """Begin the changes that are due, at most `at_once` of them. Halt, ClusterError, SourceUnavailable as in a look."""
    if desk.version < FIRST_VERSION:
        major, minor = desk.version
        raise Halt(f"Kubernetes {major}.{minor} has no resize in place: 1.33 is the first that does")
    throttled = desk.signals.throttled()
    for recommendation in sorted(recommendations, key=lambda one: one.workload):
        workload = recommendation.workload
        pods = desk.of(workload)
        if workload.kind not in KINDS or workload.namespace != desk.pods.namespace:
            continue
        desk.report.workloads += 1
        if workload in desk.book.open:
            _leave(desk, workload, "a change of it is open")
        elif not pods:
            _leave(desk, workload, "none of its pods runs")
        else:
            _treat(desk, recommendation, pods, throttled)


def _treat(
    desk: Desk,
    recommendation: Recommendation,
    pods: Sequence[RunningPod],
    throttled: Mapping[tuple[str, str], float],
) -> None:
    workload, guards, now = recommendation.workload, desk.settings.guards, desk.now()
    past = desk.book.history(workload)
    why = why_not_begin(pods, recommendation.current.replicas, now, guards) or desk.signals.breach(workload)
    if why is not None:
        _leave(desk, workload, why, is_told=True)
        return
    unknown = next((one.text for one in recommendation.reasons if one.code in _UNKNOWN), None)
    if unknown is not None:
        _leave(desk, workload, unknown, is_told=True)
        return
    if past.kept and past.kept_revision == pods[0].revision:
        kept = left_to_others(past.kept, recommendation)
        given = {pod.name: possible(pod, kept, None, desk.version)[0] for pod in pods}
        behind = [pod for pod in pods if given[pod.name]]
        cuts = any(rules.direction_of(pod.resources, given[pod.name]) == -1 for pod in behind)
        if behind and len(behind) < len(pods) and rules.is_open(desk.settings.rule, past.states, kept, now, cuts=cuts):
            words = f"{counted(len(behind), 'new pod')}: to have what the others have"
            _start(desk, recommendation, behind, past.kept, words, throttled, is_join=True)
            return
    wanted = wanted_of(pods[0], recommendation)
    if not wanted:
        reasons = [*recommendation.reasons, *(reason for one in recommendation.containers for reason in one.reasons)]
        _leave(desk, workload, reasons[0].text if reasons else "there is no number for it")
        return
    ages = [(now - pod.started_at).total_seconds() for pod in pods if pod.started_at is not None]
    amounts, reasons_of, states = rules.followed(
        desk.settings.rule, wanted, past.states, now=now, age_seconds=min(ages, default=None)
    )
    desk.book.remember(workload, states)
    amounts = {name: stepped(wanted[name].now, one, desk.settings.policy) for name, one in amounts.items()}
    if not amounts:
        words = "; ".join(f"{name}: {why}" for name, why in reasons_of.items() if why)
        _leave(desk, workload, words or "it has what is recommended")
        return
    _start(desk, recommendation, pods, amounts, _why(recommendation, amounts), throttled)


def _start(
    desk: Desk,
    recommendation: Recommendation,
    pods: Sequence[RunningPod],
    wanted: Mapping[str, Resources],
    why: str,
    throttled: Mapping[tuple[str, str], float],
    *,
    is_join: bool = False,
) -> None:
    """Begin a change with its canary; or, in a dry run, ask the server what it would say to every pod."""
    workload, wanted = recommendation.workload, left_to_others(wanted, recommendation)
    seen = None if is_join else recommendation
    given = {pod.name: possible(pod, wanted, seen, desk.version) for pod in pods}
    due = [pod for pod in pods if given[pod.name][0]]
    if not due:
        notes = list(dict.fromkeys(note for _, notes in given.values() for note in notes))
        _leave(desk, workload, "; ".join(notes) or "a resize can change nothing of it", is_told=True)
        return
    if desk.settings.is_dry:
        _rehearse(desk, workload, due, {name: one for name, (one, _) in given.items()}, why)
        return
    if len(desk.book.open) >= desk.settings.at_once:
        _leave(desk, workload, f"{counted(len(desk.book.open), 'workload')} are being changed; it waits for its turn")
        return
    canary = due[0]
    # All pods are to have what the canary gets: a limit that is raised with its request is raised in all.
    target = left_to_others({**wanted, **given[canary.name][0]}, recommendation)
    change_id = f"{desk.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    states = desk.book.history(workload).states
    about: dict[str, Any] = {} if is_join else {"states": rules.changed(states, sorted(wanted), desk.now())}
    desk.may_write()
    desk.note(
        "begun",
        workload,
        change=change_id,
        why=why,
        what="; ".join(
            f"{name}: {in_words(canary.resources[name], one)}" for name, one in given[canary.name][0].items()
        ),
        wanted=write_amounts(target),
        revision=canary.revision,
        join=is_join,
        pods=len(due),
        **about,
    )
    desk.report.begun += 1
    change = desk.book.open[workload]
    if not ask(desk, change, canary, given[canary.name][0], throttled):
        change = desk.state_of(change)
        end(desk, change, "refused", why=change.pods[canary.name].refusal)


def _rehearse(
    desk: Desk, workload: Workload, pods: Sequence[RunningPod], given: Mapping[str, Mapping[str, Resources]], why: str
) -> None:
    """Have the server check the resize of every pod, and change nothing."""
    for pod in pods:
        what = "; ".join(f"{name}: {in_words(pod.resources[name], one)}" for name, one in given[pod.name].items())
        try:
            desk.pods.resize(pod, given[pod.name], dry_run=True)
        except ClusterError as error:
            if not is_refusal(error):
                raise
            desk.report.refused += 1
            desk.report.plans.append(f"{workload.kind}/{workload.name} {pod.name}: {what}: REFUSED: {error.message}")
        else:
            desk.report.plans.append(f"{workload.kind}/{workload.name} {pod.name}: {what} ({why})")
    desk.report.begun += 1


def _why(recommendation: Recommendation, amounts: Mapping[str, Resources]) -> str:
    """What decides the numbers, in the words of the recommendation."""
    words = [
        f"{one.container}: {number.summary}"
        for one in recommendation.containers
        if one.container in amounts
        for number in (one.cpu_request, one.memory_request)
        if number.summary
    ]
    return "; ".join(words) or "recommended"


def _leave(desk: Desk, workload: Workload, why: str, *, is_told: bool = False) -> None:
    """Leave a workload as it is. is_told: the audit log says why, each time that the reason is another one."""
    desk.report.notes[f"{workload.kind}/{workload.name}"] = why
    if is_told and not desk.settings.is_dry and desk.book.history(workload).unchanged != why:
        desk.note("unchanged", workload, why=why)
