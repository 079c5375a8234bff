"""A shell script that resizes the running pods in place, without restarting them; the template patch is in comments.

A resize changes pods, not the template: the next rollout brings the old numbers back. The template patch starts a
rollout of its own, which replaces the resized pods. That is why it is a comment: apply it with the next release.

What the API server refuses is skipped, with a comment (https://kubernetes.io/docs/tasks/configure-pod-container/
resize-container-resources/, "Limitations"): a change of the pod's QoS class, the removal of a request or a limit, init
containers. What moved too little to be worth a change stays (OutputSettings.change_rule), with a comment. Pods are
found by their owner references, never by name or label.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mora.changes.deciding import Verdict, decide, why_not
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState
from mora.domain import API_VERSIONS, Container, ContainerAdvice, Recommendation, Resources, Role, quality_of
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import list_name, plain_resources, quantity, to_write
from mora.outputs.commands import command
from mora.outputs.documents import json_argument
from mora.outputs.patch import patch_of
from mora.outputs.wording import comment, header, nothing_to_write, title, why_no_patch
from mora.quantities import cores_to_millicores, format_cpu

_HEAD = """\
set -eu
# Needs kubectl 1.32 or later and Kubernetes 1.33 or later (the feature is stable from 1.35).
# A pod whose node has no room keeps its numbers and waits: kubectl get pod NAME -o yaml, condition PodResizePending.

# owned KIND NAMESPACE OWNER_KIND OWNER_NAMES: names of the owners' objects, without finished ones
owned() {
  list=$(kubectl get "$1" -n "$2" -o go-template='{{range .items}}{{$m := .metadata}}{{$phase := .status.phase}}
{{- range $m.ownerReferences}}{{.kind}}/{{.name}} {{$m.name}} {{$phase}}{{"\\n"}}{{end}}{{end}}') || return 1
  printf '%s\\n' "$list" | awk -v kind="$3" -v names="$(printf '%s' "$4" | tr '\\n' ' ')" '
    BEGIN { count = split(names, one, " "); for (n = 1; n <= count; n++) owners[kind "/" one[n]] = 1 }
    $1 in owners && $3 != "Succeeded" && $3 != "Failed" { print $2 }'
}

# pods_of NAMESPACE KIND NAME: the pods of a workload, by their chain of owners
pods_of() {
  case "$2" in
    Deployment | Rollout) sets=$(owned replicasets "$1" "$2" "$3") && owned pods "$1" ReplicaSet "$sets" ;;
    CronJob) jobs=$(owned jobs "$1" "$2" "$3") && owned pods "$1" Job "$jobs" ;;
    *) owned pods "$1" "$2" "$3" ;;
  esac
}

# resize NAMESPACE KIND NAME PATCH [FLAG]: patches each pod in turn; the first refusal ends the script
resize() {
  pods=$(pods_of "$1" "$2" "$3") || exit 1
  [ -n "$pods" ] || echo "$2 $1/$3 has no running pods" >&2
  for pod in $pods; do
    kubectl patch pod "$pod" -n "$1" --subresource resize --type strategic ${5:-} -p "$4"
  done
}
"""
# Roles whose containers can be resized.
_RESIZABLE = (Role.APP, Role.SIDECAR, Role.NATIVE_SIDECAR)


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One script for all workloads: all dry runs, then all resizes; NotEnoughData where none has a number."""
    if not any(to_write(r) and r.workload.kind in API_VERSIONS for r in recommendations):
        why = {r.workload.name: why_no_patch(r) for r in recommendations}
        raise nothing_to_write("a resize", recommendations, why)
    remarks: list[str] = []
    resized: list[tuple[Recommendation, dict[str, Any]]] = []
    for recommendation in recommendations:
        if recommendation.workload.kind not in API_VERSIONS:
            remarks += ["", *comment(f"{title(recommendation.workload)}: {why_no_patch(recommendation)}")]
            continue
        patch, notes = pod_patch(recommendation, rule=settings.change_rule)
        remarks += ["", *header(recommendation), *(line for note in notes for line in comment(note))]
        if patch:
            resized.append((recommendation, patch))
        if recommendation.retargets:
            remarks += comment("the target of its HPA must change together with it: -o commands prints the command")
        template = patch_of(recommendation)
        if template:
            remarks += comment("for the next release: the same in the template (this starts a rollout)")
            remarks.append(f"# {command(recommendation.manifest, template)}")  # of one line: the patch is JSON
    lines = [*_HEAD.splitlines(), *remarks]
    if resized:
        lines += ["", "# 1. Dry run: the server checks the resize of every pod and changes nothing"]
        lines += [_call(r, patch, flag=" --dry-run=server") for r, patch in resized]
        lines += ["", "# 2. Resize"]
        lines += [_call(r, patch) for r, patch in resized]
        lines += ["", "# 3. Roll back to the previous values"]
        lines += [f"# {_call(r, pod_patch(r, is_back=True, rule=settings.change_rule)[0])}" for r, _ in resized]
    return "\n".join(lines) + "\n"


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """The script as a file."""
    return {"resize.sh": render(recommendations, settings)}


def _call(recommendation: Recommendation, patch: dict[str, Any], *, flag: str = "") -> str:
    workload = recommendation.workload
    return shlex.join(["resize", workload.namespace, workload.kind, workload.name, json_argument(patch)]) + flag


def pod_patch(
    recommendation: Recommendation, *, is_back: bool = False, rule: ChangeRule | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The strategic merge patch of each pod, empty where none can be; and remarks on what has to wait.

    rule: which new numbers are followed; None: all of them.
    """
    notes: list[str] = []
    wanted: dict[str, Resources] = {}
    for advice in to_write(recommendation):
        if advice.role not in _RESIZABLE:
            notes.append(f"container {advice.container} is an init container: it has finished and cannot be resized")
            continue
        wanted[advice.container], waiting = _in_place(advice)
        notes += waiting
        if rule is not None:
            wanted[advice.container], deferred = _followed(advice, wanted[advice.container], rule)
            notes += deferred
    if _quality(recommendation, {}) == "Guaranteed" != _quality(recommendation, wanted):
        for advice in to_write(recommendation):
            if advice.container in wanted:
                wanted[advice.container], followed = _guaranteed(advice, wanted[advice.container])
                notes += followed
    notes += _quality_notes(recommendation, wanted)
    if not wanted or _quality(recommendation, {}) != _quality(recommendation, wanted):
        return {}, notes
    lists: dict[str, list[dict[str, Any]]] = {}
    for advice in to_write(recommendation):
        if advice.container in wanted:
            before = _now(advice)
            if wanted[advice.container] != before:
                amounts = plain_resources(before if is_back else wanted[advice.container])
                lists.setdefault(list_name(advice.role), []).append({"name": advice.container, "resources": amounts})
    if not lists:
        notes.append("nothing can be changed by a resize")
    return ({"spec": lists} if lists else {}), notes


def _now(advice: ContainerAdvice) -> Resources:
    """What the running container has: a limit without a request is a request of the same size, too."""
    cpu, memory = advice.cpu_limit.now, advice.memory_limit.now
    return Resources(
        cpu if advice.cpu_request.now is None else advice.cpu_request.now,
        cpu,
        memory if advice.memory_request.now is None else advice.memory_request.now,
        memory,
    )


def _in_place(advice: ContainerAdvice) -> tuple[Resources, list[str]]:
    """What a running container can be set to, and what has to wait for a rollout.

    A request or limit that a resize adds could not be removed by another one. None is added, so that every resize can
    be rolled back.
    """
    now, then, name = _now(advice), advice.resources, advice.container
    notes: list[str] = []
    cpu, cpu_limit = _amounts(
        now.cpu_request_millicores, now.cpu_limit_millicores, then.cpu_request_millicores, then.cpu_limit_millicores
    )
    memory, memory_limit = _amounts(
        now.memory_request_bytes, now.memory_limit_bytes, then.memory_request_bytes, then.memory_limit_bytes
    )
    set_ = Resources(cpu, cpu_limit, memory, memory_limit)
    if now.cpu_limit_millicores is not None and then.cpu_limit_millicores is None:
        notes.append(f"container {name} keeps a CPU limit until the next rollout: a resize cannot remove one")
    if now.memory_limit_bytes is not None and then.memory_limit_bytes is None:
        notes.append(f"container {name} keeps a memory limit until the next rollout: a resize cannot remove one")
    for word, before, after in (
        ("CPU request", now.cpu_request_millicores, then.cpu_request_millicores),
        ("CPU limit", now.cpu_limit_millicores, then.cpu_limit_millicores),
        ("memory request", now.memory_request_bytes, then.memory_request_bytes),
        ("memory limit", now.memory_limit_bytes, then.memory_limit_bytes),
    ):
        if before is None and after is not None:
            notes.append(f"container {name} gets its {word} with the next rollout: another resize could not remove it")
    if memory_limit is not None and now.memory_limit_bytes is not None and memory_limit < now.memory_limit_bytes:
        notes.append(
            f"container {name}: a lower memory limit is refused by Kubernetes 1.33 and 1.34 unless its resizePolicy "
            "restarts the container; from 1.35 on it is tried, and waits while the container uses more"
        )
    return set_, notes


def _followed(advice: ContainerAdvice, wanted: Resources, rule: ChangeRule) -> tuple[Resources, list[str]]:
    """What a change rule lets become of the numbers, and why the others stay; a limit stays with its request."""
    now, notes = _now(advice), []
    for resource, request, one in (
        ("cpu", "cpu_request_millicores", advice.cpu_request),
        ("memory", "memory_request_bytes", advice.memory_request),
    ):
        before, after = getattr(now, request), getattr(wanted, request)
        if before is None or after is None or before == after:
            continue
        decided = decide(
            rule,
            [[before]],
            [[after]],
            ChangeState.fresh(1),
            at=0.0,
            least=[[advice.least_memory_bytes if resource == "memory" else 0.0]],
            confidence=[[math.nan if one.confidence is None else one.confidence]],
        )
        if Verdict(int(decided.verdicts[0, 0])) is Verdict.CHANGE:
            continue
        write = partial(_written, resource)
        why = why_not(rule, decided, 0, 0, now=before, wanted=after, at=0.0, write=write)
        notes.append(f"container {advice.container}: its {resource} {why}")
        limit = request.replace("request", "limit")
        wanted = replace(wanted, **{request: before, limit: getattr(now, limit)})
    return wanted, notes


def _written(resource: str, amount: float) -> str:
    return quantity(resource, round(amount))


def _guaranteed(advice: ContainerAdvice, wanted: Resources) -> tuple[Resources, list[str]]:
    """Limits that follow their requests, as the QoS class Guaranteed asks for, and a remark where CPU's has to.

    A CPU limit at a request that a tenth of the samples exceed would throttle, so both become the highest use.
    """
    now, cpu = _now(advice), wanted.cpu_request_millicores
    memory = max(filter(None, (wanted.memory_request_bytes, wanted.memory_limit_bytes)), default=None)
    kept = replace(wanted, memory_request_bytes=wanted.memory_request_bytes and memory, memory_limit_bytes=memory)
    if cpu is None or now.cpu_request_millicores is None or cpu == wanted.cpu_limit_millicores:
        return kept, []
    seen = None if advice.evidence is None else advice.evidence.cpu_peak_cores
    both = min(max(cpu, 0 if seen is None else cores_to_millicores(seen)), max(now.cpu_request_millicores, cpu))
    note = (
        f"container {advice.container}: its pods are Guaranteed, which needs a CPU limit equal to the request, so both "
        f"become {format_cpu(both)} until the next rollout: the request of {format_cpu(cpu)}, or the highest use "
        "where that is more, since use above a limit is throttled"
    )
    return replace(kept, cpu_request_millicores=both, cpu_limit_millicores=both), [note]


def _amounts(
    request: int | None, limit: int | None, request_then: int | None, limit_then: int | None
) -> tuple[int | None, int | None]:
    """Request and limit in place: only what is set changes, and no request exceeds its limit."""
    new_request = None if request is None else (request if request_then is None else request_then)
    if limit is None:
        return new_request, None
    new_limit = limit if limit_then is None else limit_then
    return new_request, max(new_limit, new_request or 0)


def _quality(recommendation: Recommendation, wanted: dict[str, Resources]) -> str:
    """The QoS class of a pod with these resources."""
    containers = [replace(c, resources=wanted.get(c.name, c.resources)) for c in recommendation.current.containers]
    known = containers or [Container(name, resources) for name, resources in wanted.items()]
    return quality_of(known)


def _quality_notes(recommendation: Recommendation, wanted: dict[str, Resources]) -> list[str]:
    before, after = _quality(recommendation, {}), _quality(recommendation, wanted)
    if not wanted or before == after:
        return []
    return [
        f"{title(recommendation.workload)}: not resized in place: the QoS class of its pods would change from "
        f"{before} to {after}, which the API server refuses. Use the template patch"
    ]
