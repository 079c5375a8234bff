"""Which workloads are meant: "frontend", "deployment/frontend", "shop/frontend"; or by labels where no API chooses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mora.domain import API_VERSIONS, RUN_KINDS, Workload, WorkloadState, stem_of_run
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


@dataclass(frozen=True, slots=True)
class Named:
    """A workload as a user names it; kind and namespace are None where the name leaves them open."""

    name: str
    kind: str | None = None
    namespace: str | None = None

    def matches(self, workload: Workload) -> bool:
        """Whether the workload has this name, and the kind and namespace that were given."""
        is_run = workload.kind in RUN_KINDS and stem_of_run(self.name) == workload.name
        return (
            (self.name == workload.name or is_run)
            and self.kind in (None, workload.kind)
            and self.namespace in (None, workload.namespace)
        )


def parse_name(text: str, others: Mapping[str, str] = MappingProxyType({})) -> Named:
    """A workload's name: NAME, KIND/NAME as kubectl has it, or NAMESPACE/NAME. others: more kinds, by their lower case.

    >>> parse_name("deploy/frontend").kind, parse_name("shop/frontend").namespace, parse_name("frontend").kind
    ('Deployment', 'shop', None)
    """
    front, slash, last = text.rpartition("/")
    if not slash:
        return Named(last)
    kind = _KINDS.get(front.lower()) or others.get(front.lower())
    return Named(last, kind=kind) if kind else Named(last, namespace=front)


def parse_service(text: str, kinds: Sequence[str]) -> Named:
    """A name that may have one of these kinds before it and no namespace; BadInput names the kinds.

    >>> parse_service("statefulset/redis", ["Deployment", "StatefulSet"])
    Named(name='redis', kind='StatefulSet', namespace=None)
    """
    named = parse_name(text)
    if "/" in text and named.kind not in kinds:
        raise BadInput(
            f"{text.rpartition('/')[0]!r} is not a kind of workload that can be collected.",
            hint=f"Write KIND/NAME with {', '.join(kind.lower() for kind in kinds)}.",
        )
    return named


def pick(known: Sequence[Workload], names: Sequence[str], kinds: Sequence[str]) -> tuple[Workload, ...]:
    """The one workload that each name means, all where there is no name.

    Raises BadInput for a name that means none, with those there are, and for a name that means two kinds.
    """
    return tuple(_pick(known, text, kinds) for text in names) or tuple(known)


def _pick(known: Sequence[Workload], text: str, kinds: Sequence[str]) -> Workload:
    named = parse_service(text, kinds)
    found = [one for one in known if named.matches(one)]
    if not found:
        there = ", ".join(f"{one.kind.lower()}/{one.name}" for one in sorted(known))
        hint = f"There are: {there}." if there else "There is none at all; is -n NAMESPACE right?"
        raise BadInput(f"There is no service {text!r} here.", hint=hint)
    if len(found) > 1:
        either = " or ".join(f"{one.kind.lower()}/{one.name}" for one in found)
        raise BadInput(f"Which {named.name!r} is meant?", hint=f"Write {either}.")
    return found[0]


def choose(states: Sequence[WorkloadState], names: Sequence[str]) -> list[WorkloadState]:
    """The workloads that the names mean, in the order of `states`; all without names.

    Raises BadInput for a name that means none, with the nearest there is.
    """
    if not names:
        return list(states)
    chosen: set[Workload] = set()
    kinds = {state.workload.kind.lower(): state.workload.kind for state in states}
    for name in names:
        named = parse_name(name, kinds)
        meant = [state.workload for state in states if named.matches(state.workload)]
        if not meant:
            raise _none_of(name, states)
        chosen.update(meant)
    return [state for state in states if state.workload in chosen]


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
