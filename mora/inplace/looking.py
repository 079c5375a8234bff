"""One look at the changes that are open: did the node give it, does it do harm, does it go on, is it put back?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile
from mora.clusters.pods import LOWERS_MEMORY
from mora.domain import Resources
from mora.domain.pods import RunningPod
from mora.errors import BadInput, ClusterError, SourceUnavailable
from mora.inplace import rules
from mora.inplace.book import Change, Stage, write_amounts
from mora.inplace.fit import possible
from mora.inplace.guards import harm_to, has_passed, is_given, is_over, why_not_given
from mora.inplace.loop import Desk

_REFUSALS = (400, 403, 404, 405, 422)
# A pod's status is written all the time, and every write is a conflict with ours.
_TRIES = 4
# Prometheus does not answer, or refuses the query; what the pods say still counts.
_NOT_ASKED = (SourceUnavailable, BadInput)


def look(desk: Desk) -> None:
    """Go on with every open change. ClusterError, Halt where the API cannot be asked now."""
    if not desk.book.open:
        return
    throttled, problem = _throttled(desk)
    failed: ClusterError | None = None
    for change in list(desk.book.open.values()):
        try:
            _look_at(desk, change, throttled, problem)
        except ClusterError as error:
            if _status(error) in (None, 401, 429, 503):
                raise
            failed = error  # of this pod, such as a webhook that is down: the other changes are still looked at
    if failed is not None:
        raise failed


def _throttled(desk: Desk) -> tuple[Mapping[tuple[str, str], float], str | None]:
    """What Prometheus says of throttling; and why it says nothing, so that no stage counts as watched."""
    try:
        return desk.signals.throttled(), None
    except _NOT_ASKED as error:
        desk.log(
            "warning", "Prometheus cannot be asked: open changes are watched by their pods alone", error=error.message
        )
        return {}, error.message


def _look_at(desk: Desk, change: Change, throttled: Mapping[tuple[str, str], float], problem: str | None) -> None:
    _note_gone(desk, change)
    change = desk.state_of(change)
    if change.stage is Stage.UNDO:
        _put_back(desk, change)
        return
    refused = next((one.refusal for one in change.pods.values() if one.refusal not in ("", "gone")), None)
    if refused is not None and change.stage is Stage.CANARY and not change.harm:  # killed before its end was written
        end(desk, change, "refused", why=refused)
        return
    harm = change.harm or refused or _harm(desk, change, throttled, problem)
    if harm is not None:
        undo(desk, change, harm)
        return
    _ask_again(desk, change)
    _note_given(desk, change)
    change = desk.state_of(change)
    alive = {name: one for name, one in change.pods.items() if name in desk.seen}
    if not alive:
        end(desk, change, "dropped", why="its pods are gone")
        return
    if problem is not None:
        desk.watched.pop(change.id, None)
    watched = desk.watched.get(change.id, timedelta(0))
    if not all(one.is_done for one in alive.values()):
        desk.watched.pop(change.id, None)
        return
    if change.stage is Stage.CANARY and is_over(change, watched, desk.settings.guards):
        desk.stage(change, Stage.REST)
        change = desk.state_of(change)
    if change.stage is Stage.REST:
        _ask_rest(desk, change, throttled)
    elif change.stage is Stage.WATCH and is_over(change, watched, desk.settings.guards):
        end(desk, change, "kept")


# --- what is seen ----------------------------------------------------------------------------------------------------


def _note_gone(desk: Desk, change: Change) -> None:
    """Pods that were replaced meanwhile, by a rollout or a drained node, have nothing of the change any more."""
    for name, one in change.pods.items():
        pod = desk.seen.get(name)
        if pod is not None and pod.uid != one.uid:
            del desk.seen[name]
            pod = None
        if pod is None and one.refusal != "gone":
            desk.note("gone", change.workload, change=change.id, pod=name, why="gone")


def _note_given(desk: Desk, change: Change) -> None:
    for name, one in change.pods.items():
        pod = desk.seen.get(name)
        if pod is not None and not one.is_done and is_given(pod, one.after):
            desk.note("applied", change.workload, change=change.id, pod=name)


def _harm(desk: Desk, change: Change, throttled: Mapping[tuple[str, str], float], problem: str | None) -> str | None:
    now, guards = desk.now(), desk.settings.guards
    for name, one in change.pods.items():
        pod = desk.seen.get(name)
        if pod is None or one.refusal:
            continue
        shares = {container: share for (its, container), share in throttled.items() if its == name}
        harm = harm_to(pod, one, throttled=shares, now=now, settings=guards)
        if harm is None and not one.is_done:
            harm = why_not_given(pod, one, now, guards)
        if harm is not None:
            return harm
    if problem is None:
        try:
            return desk.signals.breach(change.workload)
        except _NOT_ASKED as error:
            desk.log("warning", "it is not known whether the SLO is broken", error=error.message)
            desk.watched.pop(change.id, None)
    return None


# --- what is asked ---------------------------------------------------------------------------------------------------


def ask(
    desk: Desk,
    change: Change,
    pod: RunningPod,
    after: Mapping[str, Resources],
    throttled: Mapping[tuple[str, str], float],
) -> bool:
    """Ask for a pod's new resources; whether the server takes it. What is refused is noted."""
    desk.may_write()
    before = {name: resources for name, resources in pod.resources.items() if name in after}
    desk.note(
        "asked",
        change.workload,
        change=change.id,
        pod=pod.name,
        uid=pod.uid,
        before=write_amounts(before),
        after=write_amounts(after),
        restarts={one.name: one.restarts for one in pod.containers},
        killed={one.name: one.oom_killed_at.isoformat() for one in pod.containers if one.oom_killed_at is not None},
        throttled={name: share for (its, name), share in throttled.items() if its == pod.name},
    )
    desk.report.asked += 1
    refusal = _send(desk, pod, after)
    if refusal is None:
        return True
    desk.report.refused += 1
    desk.note("refused", change.workload, "warning", change=change.id, pod=pod.name, why=refusal)
    return False


def _send(desk: Desk, pod: RunningPod, wanted: Mapping[str, Resources]) -> str | None:
    """Send one resize; the server's words where it refuses, None where it took it or the pod is gone.

    ClusterError where it cannot be asked: whether it took it, the next look shows.
    """
    for _ in range(_TRIES):
        try:
            desk.seen[pod.name] = desk.pods.resize(pod, wanted)
        except ChangedMeanwhile:
            again = next((one for one in desk.pods.pods() if one.name == pod.name), None)
            if again is None or again.uid != pod.uid:
                return None
            if all(again.resources.get(name) == one for name, one in wanted.items()):
                desk.seen[pod.name] = again
                return None  # the server had taken it, and its answer was lost
            if again.resources != pod.resources:
                return "the pod was resized by somebody else meanwhile"
            pod = again
            desk.may_write()
        except GoneMeanwhile:
            return None
        except ClusterError as error:
            if is_refusal(error):
                return error.message
            raise
        else:
            return None
    return "the pod changes all the time: every request ran into a conflict"


def is_refusal(error: ClusterError) -> bool:
    """Whether an error is the server's answer to what was asked, and not that it could not be asked."""
    return _status(error) in _REFUSALS


def _status(error: ClusterError) -> int | None:
    """The status of the server's answer; None where there was none."""
    return getattr(error.__cause__, "status", None)


def _ask_again(desk: Desk, change: Change) -> None:
    """What was announced and did not arrive, since the loop or the API server went away in between."""
    for name, one in change.pods.items():
        pod = desk.seen.get(name)
        if pod is None or one.is_done or one.refusal:
            continue
        has = {container: pod.resources.get(container) for container in one.after}
        if has == dict(one.before) and has != dict(one.after):
            desk.may_write()
            refusal = _send(desk, pod, one.after)
            if refusal is not None:
                desk.note("refused", change.workload, "warning", change=change.id, pod=name, why=refusal)
                undo(desk, desk.state_of(change), refusal)
                return


def _ask_rest(desk: Desk, change: Change, throttled: Mapping[tuple[str, str], float]) -> None:
    """The pods that do not have it yet; those that are new since wait until they have started up."""
    waiting = False
    for pod in desk.of(change.workload):
        if pod.name in change.pods or (change.revision and pod.revision != change.revision):
            continue
        if not pod.is_ready:
            waiting = True
            continue
        after, _ = possible(pod, change.wanted, None, desk.version)
        if after and not ask(desk, change, pod, after, throttled):
            undo(
                desk,
                desk.state_of(change),
                f"pod {pod.name} was refused what the first has: {desk.state_of(change).pods[pod.name].refusal}",
            )
            return
    change = desk.state_of(change)
    alive = [one for name, one in change.pods.items() if name in desk.seen]
    if not waiting and all(one.is_done for one in alive):
        desk.stage(change, Stage.WATCH)


# --- what is undone --------------------------------------------------------------------------------------------------


def undo(desk: Desk, change: Change, harm: str) -> None:
    """Begin to put every pod of a change back, and do what can be done at once."""
    if not change.harm:
        desk.note("harmed", change.workload, "warning", change=change.id, why=harm)
    desk.stage(change, Stage.UNDO)
    _put_back(desk, desk.state_of(change))


def _put_back(desk: Desk, change: Change) -> None:
    for name, one in change.pods.items():
        pod = desk.seen.get(name)
        if one.is_done or pod is None:
            continue
        has = {container: pod.resources.get(container) for container in one.after}
        back = possible_back(pod, one.before, desk.version)
        if has == back:
            words = "" if back == one.before else "its memory limit stays: this version of Kubernetes lowers none"
            if is_given(pod, back):
                about = {"why": words} if words else {}
                desk.note("put-back", change.workload, change=change.id, pod=name, **about)
                desk.report.put_back += 1
            elif _is_late(desk, change):
                words = "the node is late with it"
                desk.note("put-back", change.workload, "warning", change=change.id, pod=name, why=words)
            continue
        if has != dict(one.after):
            words = "it was resized by somebody else meanwhile"
            desk.note("put-back", change.workload, "warning", change=change.id, pod=name, why=words)
            continue
        desk.may_write()
        refusal = _send(desk, pod, back)
        if refusal is not None and _is_late(desk, change):
            desk.note("put-back", change.workload, "error", change=change.id, pod=name, why=refusal)
        elif refusal is not None:  # a full quota, say, may have room again
            desk.log("warning", "cannot be put back now, and is tried again", pod=name, why=refusal)
    change = desk.state_of(change)
    if all(one.is_done for name, one in change.pods.items() if name in desk.seen):
        stuck = [one for name, one in change.pods.items() if one.refusal and name in desk.seen]
        end(desk, change, "stuck" if stuck else "undone", why=change.harm)


def _is_late(desk: Desk, change: Change) -> bool:
    return has_passed(change.since, 2 * desk.settings.guards.pending_for, desk.now())


def possible_back(pod: RunningPod, before: Mapping[str, Resources], version: tuple[int, int]) -> dict[str, Resources]:
    """What of a pod's earlier resources a resize can give it again."""
    found = {}
    for name, resources in before.items():
        running = pod.container(name)
        limit = None if running is None else running.resources.memory_limit_bytes
        earlier = resources.memory_limit_bytes
        if version < LOWERS_MEMORY and limit is not None and earlier is not None and earlier < limit:
            resources = replace(resources, memory_limit_bytes=limit)
            if pod.quality == "Guaranteed":
                resources = replace(resources, memory_request_bytes=limit)
        found[name] = resources
    return found


def end(desk: Desk, change: Change, outcome: str, *, why: str = "") -> None:
    """A change is over: what the change rule remembers of it is written with its outcome."""
    names = sorted(change.wanted)
    states = desk.book.history(change.workload).states
    if outcome == "kept":
        states = rules.proven(states, names)
    elif outcome in ("undone", "stuck", "refused"):
        before = {name: resources for one in change.pods.values() for name, resources in one.before.items()}
        after = {name: resources for one in change.pods.values() for name, resources in one.after.items()}
        direction = rules.direction_of(before, after)
        states = rules.undone(states, names, desk.now(), desk.settings.rule, direction)
    about = {"why": why} if why else {}
    level = "info" if outcome in ("kept", "dropped") else "warning"
    desk.note("ended", change.workload, level, change=change.id, outcome=outcome, states=states, **about)
    desk.watched.pop(change.id, None)
