"""Which workloads are meant: "frontend", "deployment/frontend", "shop/frontend"; or by labels where no API chooses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from mora.domain import API_VERSIONS, Workload, WorkloadState
from mora.errors import BadInput

# As kubectl takes them.
_KINDS = {
    **{kind.lower(): kind for kind in API_VERSIONS},
    **{f"{kind.lower()}s": kind for kind in API_VERSIONS},
    "deploy": "Deployment",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "cj": "CronJob",
    "ro": "Rollout",
}
_REQUIREMENT = re.compile(r"\s*(?P<key>[\w./-]+)\s*(?:(?P<how>==|=|!=)\s*(?P<value>[\w.-]*))?\s*", re.ASCII)


def names_a_kind(name: str) -> bool:
    """Whether a name says of which kind it is, as kubectl has it.

    >>> names_a_kind("deploy/frontend"), names_a_kind("frontend")
    (True, False)
    """
    return name.partition("/")[0].lower() in _KINDS and "/" in name


def choose(states: Sequence[WorkloadState], names: Sequence[str]) -> list[WorkloadState]:
    """The workloads that the names mean, in the order of `states`; all without names.

    Raises BadInput for a name that means none, with the nearest there is.
    """
    if not names:
        return list(states)
    chosen: set[Workload] = set()
    for name in names:
        meant = [state.workload for state in states if _is_meant(state.workload, name)]
        if not meant:
            raise _none_of(name, states)
        chosen.update(meant)
    return [state for state in states if state.workload in chosen]


def _is_meant(workload: Workload, name: str) -> bool:
    front, slash, last = name.rpartition("/")
    if last != workload.name:
        return False
    kind = _KINDS.get(front.lower())
    return not slash or (workload.kind == kind if kind else workload.namespace == front)


def _none_of(name: str, states: Sequence[WorkloadState]) -> BadInput:
    known = {f"{one.workload.kind.lower()}/{one.workload.name}" for one in states}
    last = name.rpartition("/")[2]
    near = difflib.get_close_matches(last, [one.workload.name for one in states], n=3, cutoff=0.5)
    shown = [entry for entry in sorted(known) if entry.partition("/")[2] in near] or sorted(known)[:10]
    return BadInput(
        f"No workload {name!r} among the {len(states)} that were found.",
        hint=f"Found: {', '.join(shown)}." if shown else "Is it the right namespace? Name one with -n, or give -A.",
    )


def labelled(states: Iterable[WorkloadState], selector: str) -> list[WorkloadState]:
    """Those whose labels a selector (key=value, key!=value, key; with commas) matches, where no API server chose.

    Raises BadInput for another form, and where no labels are known at all: kube-state-metrics exports only those that
    it is configured to.
    """
    found = list(states)
    wanted = [_requirement(part) for part in selector.split(",")]
    if found and not any(state.labels for state in found):
        raise BadInput(
            "Prometheus knows no labels of workloads, so -l cannot choose among them.",
            hint="Let kube-state-metrics export them (--metric-labels-allowlist=deployments=[app]), ask the Kubernetes "
            "API (without --no-kubernetes), or name the workloads.",
        )
    return [state for state in found if all(_matches(state, *requirement) for requirement in wanted)]


def _requirement(text: str) -> tuple[str, str | None, str]:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise BadInput(
            f"{text!r} is not a label selector that MOrA can apply to Prometheus' labels.",
            hint="Write it like -l app=shop.",
        )
    return match["key"], match["how"], match["value"] or ""


def _matches(state: WorkloadState, key: str, how: str | None, value: str) -> bool:
    # kube-state-metrics writes what PromQL cannot hold as an underscore: app.kubernetes.io/name.
    label = state.labels.get(key, state.labels.get(re.sub(r"\W", "_", key, flags=re.ASCII)))
    if how is None:
        return label is not None
    return (label == value) != (how == "!=")
