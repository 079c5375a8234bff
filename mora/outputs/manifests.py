"""What the manifest outputs share: the fields to set as Kubernetes spells them, and YAML that reads well."""

from __future__ import annotations

import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from mora.domain import Advice, ContainerAdvice, Reason, Recommendation, Resources, Role, Workload
from mora.errors import NotEnoughData
from mora.quantities import format_cpu, format_memory

# Section, resource and field of the four numbers of a container.
_FIELDS = (
    ("requests", "cpu", "cpu_request"),
    ("requests", "memory", "memory_request"),
    ("limits", "cpu", "cpu_limit"),
    ("limits", "memory", "memory_limit"),
)
# Where a kind keeps the template of its pods.
_TEMPLATES: Mapping[str, tuple[str, ...]] = {"CronJob": ("spec", "jobTemplate", "spec", "template")}
_TEMPLATE = ("spec", "template")
# Kinds that hold a number of replicas.
_SCALED = ("Deployment", "StatefulSet", "Rollout")
# KEDA writes HPAs of this prefix from its ScaledObjects and would overwrite ours.
KEDA_PREFIX = "keda-hpa-"
# Longer names of files are cut: file systems take 255 bytes.
_LONGEST_STEM = 180


# --- amounts ---------------------------------------------------------------------------------------------------------


def quantity(resource: str, amount: int) -> str:
    """Millicores or bytes as Kubernetes spells them.

    >>> quantity("cpu", 127), quantity("memory", 248512512)
    ('127m', '237Mi')
    """
    return format_cpu(amount) if resource == "cpu" else format_memory(amount)


def sets(advice: Advice) -> bool:
    """Whether there is something to write: a number, or the removal of a limit that is set."""
    return advice.value is not None or (advice.is_unset and advice.now is not None)


def changes(advice: Advice) -> bool:
    """Whether what there is to write differs from what is set now."""
    return sets(advice) and advice.value != advice.now


def advised_resources(advice: ContainerAdvice) -> dict[str, dict[str, str | None]]:
    """The `resources` that are advised, None for a limit to drop; what there is no advice on is left out."""
    return _resources(advice, is_back=False)


def previous_resources(advice: ContainerAdvice) -> dict[str, dict[str, str | None]]:
    """What the advised fields hold now, None where not set: the way back."""
    return _resources(advice, is_back=True)


def _resources(container: ContainerAdvice, *, is_back: bool) -> dict[str, dict[str, str | None]]:
    resources: dict[str, dict[str, str | None]] = {}
    for section, resource, name in _FIELDS:
        advice: Advice = getattr(container, name)
        if sets(advice):
            amount = advice.now if is_back else advice.value
            text = None if amount is None else quantity(resource, amount)
            resources.setdefault(section, {})[resource] = text
    return resources


def plain_resources(resources: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits as a container's `resources` holds them; what is not set is not there."""
    plain: dict[str, dict[str, str]] = {}
    for section, resource, amount in (
        ("requests", "cpu", resources.cpu_request_millicores),
        ("requests", "memory", resources.memory_request_bytes),
        ("limits", "cpu", resources.cpu_limit_millicores),
        ("limits", "memory", resources.memory_limit_bytes),
    ):
        if amount is not None:
            plain.setdefault(section, {})[resource] = quantity(resource, amount)
    return plain


# --- which containers, and where they stand --------------------------------------------------------------------------


def container_numbers(container: ContainerAdvice) -> tuple[tuple[str, Advice], ...]:
    """The four numbers of a container with the words that a person knows them by."""
    return (
        ("cpu request", container.cpu_request),
        ("cpu limit", container.cpu_limit),
        ("memory request", container.memory_request),
        ("memory limit", container.memory_limit),
    )


def numbers(recommendation: Recommendation) -> tuple[tuple[str, Advice], ...]:
    """The five numbers of the main container and the workload."""
    return (*container_numbers(recommendation.main), ("replicas", recommendation.replicas))


def all_numbers(recommendation: Recommendation) -> Iterator[tuple[str, Advice]]:
    """Every number, those of the other containers with the container's name before them, e.g. "cache cpu request"."""
    yield from numbers(recommendation)
    for other in recommendation.others:
        for name, advice in container_numbers(other):
            yield f"{other.container} {name}", advice


def is_injected(recommendation: Recommendation, name: str) -> bool:
    """Whether the container stands in the pods alone, so that no manifest of the workload can size it."""
    return any(container.name == name and container.is_injected for container in recommendation.current.containers)


def is_gone(recommendation: Recommendation, name: str) -> bool:
    """Whether the workload as it stands has no such container: a merge by name would add one without an image."""
    containers = recommendation.current.containers
    return bool(containers) and all(container.name != name for container in containers)


def in_template(recommendation: Recommendation) -> tuple[ContainerAdvice, ...]:
    """The advice on containers of the pod template, the main container's first."""
    return tuple(
        c
        for c in recommendation.containers
        if not is_injected(recommendation, c.container) and not is_gone(recommendation, c.container)
    )


def to_write(recommendation: Recommendation) -> tuple[ContainerAdvice, ...]:
    """The containers of the template that there is something to write for."""
    return tuple(c for c in in_template(recommendation) if advised_resources(c))


def list_name(role: Role) -> str:
    """The list of a pod spec that holds containers of a role."""
    return "initContainers" if role in (Role.INIT, Role.NATIVE_SIDECAR) else "containers"


def sets_replicas(recommendation: Recommendation) -> bool:
    """Replicas belong into a patch only where there is a number and no autoscaler would fight over it."""
    is_scaled = recommendation.current.autoscaler is not None or bool(recommendation.autoscalers)
    return recommendation.replicas.value is not None and not is_scaled and recommendation.workload.kind in _SCALED


def is_due(recommendation: Recommendation) -> bool:
    """Whether the cluster would be changed: a number that can be written differs from what is set."""
    advice = [number for c in to_write(recommendation) for _, number in container_numbers(c)]
    if sets_replicas(recommendation):
        advice.append(recommendation.replicas)
    return any(map(changes, advice))


# --- patches ---------------------------------------------------------------------------------------------------------


def template_path(kind: str) -> tuple[str, ...]:
    """Where the pod template stands in a manifest of this kind.

    >>> template_path("CronJob")
    ('spec', 'jobTemplate', 'spec', 'template')
    """
    return _TEMPLATES.get(kind, _TEMPLATE)


def takes_strategic(kind: str) -> bool:
    """Whether the API server merges lists of this kind by name; for a custom resource (Rollout) it refuses to."""
    return kind != "Rollout"


def strategic_patch(recommendation: Recommendation) -> dict[str, Any]:
    """A strategic merge patch: container lists merge by name, so image, env and sidecars stay as they are.

    Empty where there is nothing to write, and for a Job, whose template cannot be changed.
    """
    replicas = recommendation.replicas.value if sets_replicas(recommendation) else None
    return _patch(recommendation, replicas, is_back=False)


def rollback_patch(recommendation: Recommendation) -> dict[str, Any]:
    """The patch that puts back what strategic_patch() changes."""
    replicas = recommendation.current.replicas if sets_replicas(recommendation) else None
    return _patch(recommendation, replicas, is_back=True)


def _patch(recommendation: Recommendation, replicas: int | None, *, is_back: bool) -> dict[str, Any]:
    kind = recommendation.workload.kind
    if kind == "Job":
        return {}
    spec: dict[str, Any] = {}
    if replicas is not None:
        spec["replicas"] = replicas
    lists: dict[str, list[dict[str, Any]]] = {}
    for container in to_write(recommendation):
        item = {"name": container.container, "resources": _resources(container, is_back=is_back)}
        lists.setdefault(list_name(container.role), []).append(item)
    if lists:
        inner: dict[str, Any] = {"spec": lists}
        for key in reversed(template_path(kind)[1:]):
            inner = {key: inner}
        spec |= inner
    return {"spec": spec} if spec else {}


def json_patch(recommendation: Recommendation, *, is_back: bool = False) -> list[dict[str, Any]]:
    """The same as a JSON patch (RFC 6902), for what knows no merge by name: a custom resource, an old kustomize.

    Containers are addressed by their place in the list, so each is preceded by a `test` of its name: where the list is
    in another order, the whole patch is refused. A section that is not set now is tested to be absent, so that nothing
    else in it (ephemeral-storage, claims) is lost. Empty for a Job.
    """
    kind = recommendation.workload.kind
    if kind == "Job":
        return []
    operations: list[dict[str, Any]] = []
    replicas = recommendation.current.replicas if is_back else recommendation.replicas.value
    if sets_replicas(recommendation) and replicas is not None:
        operations.append({"op": "add", "path": "/spec/replicas", "value": replicas})
    places = _places(recommendation)
    for container in to_write(recommendation):
        if container.container in places:
            path = "/" + "/".join((*template_path(kind), "spec", *places[container.container]))
            operations.append({"op": "test", "path": f"{path}/name", "value": container.container})
            operations += _operations(f"{path}/resources", container, is_back=is_back)
    return operations


def _places(recommendation: Recommendation) -> dict[str, tuple[str, str]]:
    """Container -> its list and its place there, as far as the order of the spec is known."""
    places: dict[str, tuple[str, str]] = {}
    taken: Counter[str] = Counter()
    for container in recommendation.current.containers:
        if not container.is_injected:
            name = list_name(container.role)
            places[container.name] = (name, str(taken[name]))
            taken[name] += 1
    return places


def _operations(path: str, container: ContainerAdvice, *, is_back: bool) -> Iterator[dict[str, Any]]:
    """Add and remove at the level that is there: the field, its section, or the whole of `resources`."""
    advised, previous = advised_resources(container), previous_resources(container)
    present = _sections_now(container)
    if not present:
        plain = {section: dict(fields) for section, fields in advised.items()}
        yield from _whole(path, plain, is_back=is_back)
        return
    for section, fields in advised.items():
        if section not in present:
            yield from _whole(f"{path}/{section}", dict(fields), is_back=is_back)
            continue
        for resource, then in fields.items():
            before = previous[section][resource]
            wanted, there = (before, then) if is_back else (then, before)
            if wanted is not None:
                yield {"op": "add", "path": f"{path}/{section}/{resource}", "value": wanted}
            elif there is not None:
                yield {"op": "remove", "path": f"{path}/{section}/{resource}"}


def _whole(path: str, value: Mapping[str, Any], *, is_back: bool) -> Iterator[dict[str, Any]]:
    if is_back:
        yield {"op": "remove", "path": path}
    else:
        yield {"op": "test", "path": path, "value": None}
        yield {"op": "add", "path": path, "value": dict(value)}


def _sections_now(container: ContainerAdvice) -> set[str]:
    return {section for section, _, name in _FIELDS if getattr(container, name).now is not None}


# --- words -----------------------------------------------------------------------------------------------------------


def title(workload: Workload) -> str:
    """What a workload is called: Deployment shop/frontend."""
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def header(recommendation: Recommendation) -> list[str]:
    """What a file is about, which numbers are missing and which containers stand in no manifest: comment lines."""
    load = recommendation.load
    at = f" at {load.users} users of {load.scenario}" if load else ""
    names = ", ".join(container.container for container in recommendation.containers)
    word = "containers" if recommendation.others else "container"
    lines = [
        f"{title(recommendation.workload)}, {word} {names}: MOrA's advice{at}, "
        f"from data up to {recommendation.as_of:%Y-%m-%dT%H:%M:%SZ}"
    ]
    if recommendation.basis == "history":
        lines[0] += ", by the rule for histories (no model is trained)"
    missing = [(name, advice) for name, advice in all_numbers(recommendation) if _is_missing(advice)]
    lines += [f"no advice on {names}: {why}" for names, why in grouped(missing)]
    for container in recommendation.containers:
        name = container.container
        if is_injected(recommendation, name):
            lines.append(
                f"container {name} is put into the pods from outside and stands in no template: left alone; "
                "whatever injects it says what it requests"
            )
        if is_gone(recommendation, name):
            lines.append(f"container {name} is not among those of the workload any more: left out")
    return [wrapped for line in lines for wrapped in comment(line)]


def _is_missing(advice: Advice) -> bool:
    return advice.value is None and not advice.is_unset


def grouped(advice: Iterable[tuple[str, Advice]]) -> list[tuple[str, str]]:
    """The names of numbers that share their reasons, and the reasons, in the order of the first of each."""
    by_text: dict[str, list[str]] = {}
    for name, number in advice:
        by_text.setdefault(one_line(number.reasons), []).append(name)
    return [(", ".join(names), text) for text, names in by_text.items()]


def why_no_patch(recommendation: Recommendation) -> str:
    """Why nothing can be written for a workload, in words."""
    if recommendation.workload.kind == "Job" and to_write(recommendation):
        return "a Job's template cannot be changed; delete it and create it with the resources of -o yaml"
    if not in_template(recommendation):
        return "none of the containers that there is advice on stands in its template"
    return one_line(reason for _, advice in all_numbers(recommendation) for reason in advice.reasons)


def comment(text: str) -> list[str]:
    """Comment lines of one sentence, wrapped for a review."""
    return textwrap.wrap(
        clean(text),
        110,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def one_line(reasons: Iterable[Reason]) -> str:
    """Reasons as one line, safe in a comment."""
    texts = dict.fromkeys(reason.text for reason in reasons)
    return clean("; ".join(texts)) or "no reason was given"


def clean(text: str) -> str:
    """Words on one line. Some come from servers: what a terminal would obey rather than show is shown as "?".

    >>> clean("a warning\\n of\\x1b[2J it")
    'a warning of?[2J it'
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def untold(recommendation: Recommendation) -> list[Reason]:
    """The reasons of the workload that none of its main container's numbers and replicas says already."""
    told = [reason.text for _, advice in numbers(recommendation) for reason in advice.reasons]
    return [reason for reason in recommendation.reasons if not any(reason.text in text for text in told)]


def nothing_to_write(what: str, recommendations: Sequence[Recommendation], why: Mapping[str, str]) -> NotEnoughData:
    """The error of an output that has not a single number: an empty file would look like success."""
    names = ", ".join(recommendation.workload.name for recommendation in recommendations) or "no service"
    by_text: dict[str, list[str]] = {}
    for name, text in why.items():
        by_text.setdefault(text, []).append(name)
    reasons = "; ".join(f"{', '.join(named)}: {text}" for text, named in by_text.items())
    return NotEnoughData(
        f"There is nothing to put into {what} for {names}{': ' + reasons if reasons else '.'}",
        hint="mora recommend -o table shows every number and its reasons.",
    )


# --- text ------------------------------------------------------------------------------------------------------------


def file_names(workloads: Sequence[Workload], ending: str, *, prefix: str = "") -> dict[Workload, str]:
    """A file name for each: by the workload's name, and where two share it, by namespace and kind as well.

    "_" is in no Kubernetes name, so the two forms never meet.

    >>> list(file_names([Workload("shop", "web"), Workload("bank", "web"), Workload("shop", "db")], ".yaml").values())
    ['shop_deployment_web.yaml', 'bank_deployment_web.yaml', 'db.yaml']
    """
    clashes = Counter(workload.name for workload in workloads)
    return {
        w: prefix + _short(w.name if clashes[w.name] == 1 else f"{w.namespace}_{w.kind.lower()}_{w.name}") + ending
        for w in workloads
    }


def _short(stem: str) -> str:
    if len(stem) <= _LONGEST_STEM:
        return stem
    return f"{stem[:_LONGEST_STEM]}_{hashlib.sha256(stem.encode()).hexdigest()[:12]}"


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, as Kubernetes' own examples have them; no anchors for repeated values."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def dump(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """YAML with keys in the order given. Text that YAML 1.1 reads as something else ("Off", "2") is quoted."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)


def documents(parts: Sequence[str]) -> str:
    """Several YAML documents as one text."""
    return "---\n".join(parts)
