"""Kubernetes objects as MOrA's values: containers and their roles, replicas, bounds. Pure.

Every function takes an object as the API server writes it (JSON field names), and sends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from mora.domain import (
    INJECTED_SIDECARS,
    AmountRange,
    Container,
    Quota,
    Reason,
    Resources,
    Role,
    Workload,
    choose_main_container,
    is_jvm_image,
    is_name,
)
from mora.domain.runtimes import Runtime, told_runtime
from mora.errors import BadInput, ClusterError
from mora.quantities import format_cpu, format_memory, parse_cpu, parse_memory, parse_quantity

Manifest = Mapping[str, Any]

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_JAVA_VARIABLE = re.compile(
    r"_?JAVA_OPTIONS|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|(\w+_)?JAVA_OPTS|JVM_\w+|CATALINA_OPTS|KAFKA_HEAP_OPTS"
)
_JAVA_ARGUMENT = re.compile(r"(.*/)?java|-Xm[sx]\d+\w?|-XX:[+\w].*|-jar|.+\.jar", re.ASCII)


def named(workload: Workload) -> str:
    """A workload as an error names it."""
    return f"{workload.kind} {workload.name!r} in namespace {workload.namespace!r}"


def template_of(manifest: Manifest, kind: str) -> Manifest:
    """A workload's pod template; empty where it has none of its own (a Rollout with workloadRef)."""
    spec = manifest["spec"]
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template") or {}


def replicas_of(manifest: Manifest, kind: str) -> int | None:
    """The desired replicas; None for Jobs and CronJobs."""
    if kind in ("CronJob", "Job"):
        return None
    if kind == "DaemonSet":
        return int((manifest.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(manifest["spec"].get("replicas", 1))  # Kubernetes' own default


def has_name(item: Manifest) -> bool:
    """Whether an object, or a container, has a name that Kubernetes allows; what has none is left out.

    >>> has_name({"name": "server"}), has_name({"metadata": {"name": "web\\nkind: Pod"}}), has_name({})
    (True, False, False)
    """
    name = (item.get("metadata") or item).get("name")
    return isinstance(name, str) and is_name(name)


def without_odd_containers(pod_spec: Manifest) -> tuple[dict[str, Any], list[str]]:
    """A pod spec without the containers that Kubernetes would not name so, and those names, readable."""
    spec, odd = dict(pod_spec), []
    for part in ("containers", "initContainers"):
        if spec.get(part):
            odd += [ascii(one.get("name")) for one in spec[part] if not has_name(one)]
            spec[part] = [one for one in spec[part] if has_name(one)]
    return spec, odd


# --- containers ------------------------------------------------------------------------------------------------------


def stays(container: Manifest) -> bool:
    """Whether an init container runs as long as the pod does: a native sidecar."""
    return container.get("restartPolicy") == "Always"


def staying(pod_spec: Manifest) -> list[Manifest]:
    """Containers that run as long as the pod: the ordinary ones, then native sidecars."""
    return [*pod_spec["containers"], *(one for one in pod_spec.get("initContainers") or [] if stays(one))]


def role_of(container: Manifest, *, is_init: bool, is_injected: bool = False) -> Role:
    """The role of a container of a pod: app, sidecar, native sidecar or init container."""
    if is_init:
        return Role.NATIVE_SIDECAR if stays(container) else Role.INIT
    return Role.SIDECAR if is_injected or container["name"] in INJECTED_SIDECARS else Role.APP


def read_container(
    container: Manifest, *, is_init: bool, is_main: bool = False, is_injected: bool = False
) -> Container:
    """A container of a pod spec: its name, resources, image and role."""
    role = role_of(container, is_init=is_init, is_injected=is_injected)
    if is_main and role is Role.SIDECAR and not is_injected:
        role = Role.APP  # here a proxy is the service itself
    return Container(
        container["name"],
        read_resources(container),
        container.get("image"),
        is_main,
        role,
        is_injected=is_injected,
        runtime=runtime_of(container),
        sections=_sections(container),
    )


def _sections(container: Manifest) -> frozenset[str]:
    resources = container.get("resources")
    return frozenset() if resources is None else frozenset({"resources", *resources})


def choose_main(template: Manifest, workload_name: str, *, annotated: str | None = None) -> tuple[str, str]:
    """The main container of a pod template, and how it was chosen.

    annotated: the container that the pods' annotation names; it counts where the template has no annotation.
    """
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return choose_main_container(
        [container["name"] for container in template["spec"]["containers"]],
        workload_name,
        annotated=annotations.get(DEFAULT_CONTAINER) or annotated,
    )


def read_containers(pod_spec: Manifest, main: str | None, *, is_injected: bool = False) -> tuple[Container, ...]:
    """Every container of a pod spec: the ordinary ones in their order, then the init containers in theirs."""
    ordinary = (
        read_container(one, is_init=False, is_main=one["name"] == main, is_injected=is_injected)
        for one in pod_spec.get("containers") or []
    )
    initial = (
        read_container(one, is_init=True, is_injected=is_injected) for one in pod_spec.get("initContainers") or []
    )
    return (*ordinary, *initial)


def read_resources(container: Manifest) -> Resources:
    """Requests and limits as written; None where not set."""
    resources = container.get("resources") or {}
    return _resources(resources.get("requests") or {}, resources.get("limits") or {})


def _resources(requests: Mapping[str, Any], limits: Mapping[str, Any]) -> Resources:
    return Resources(
        cpu_request_millicores=_amount(parse_cpu, requests, "cpu"),
        cpu_limit_millicores=_amount(parse_cpu, limits, "cpu"),
        memory_request_bytes=_amount(parse_memory, requests, "memory"),
        memory_limit_bytes=_amount(parse_memory, limits, "memory"),
    )


def _amount(parse: Callable[[str], int], amounts: Mapping[str, Any], *names: str) -> int | None:
    """The first of the names that is set and can be read; YAML lets people write 1 for "1", but also .nan and .inf."""
    for name in names:
        if amounts.get(name) is not None:
            try:
                return parse(str(amounts[name]))
            except BadInput:
                continue
    return None


def runs_java(container: Manifest) -> bool:
    """Whether a container runs a Java virtual machine, by its image's name, its environment or its command.

    >>> runs_java({"image": "eclipse-temurin:21-jre"}), runs_java({"image": "shop/javascript-api:3"})
    (True, False)
    """
    if is_jvm_image(_without_registry(container.get("image") or "")):
        return True
    if any(_JAVA_VARIABLE.fullmatch(str(variable.get("name"))) for variable in container.get("env") or []):
        return True
    line = [*(container.get("command") or []), *(container.get("args") or [])]
    return any(_JAVA_ARGUMENT.fullmatch(word) for text in line for word in str(text).split())


def runtime_of(container: Manifest) -> Runtime | None:
    """What a container's flags and variables tell its runtime that it may take of memory."""
    environment = {
        str(variable.get("name")): value
        for variable in container.get("env") or []
        if isinstance(value := variable.get("value"), str)
    }
    line = " ".join(str(word) for word in (*(container.get("command") or []), *(container.get("args") or [])))
    return told_runtime(_without_registry(container.get("image") or ""), environment, line)


def _without_registry(image: str) -> str:
    """An image's path and tag; a registry's name (java.example:5000/) and a digest do not describe its content."""
    first, slash, rest = image.partition("@")[0].partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else first + slash + rest


# --- what bounds the numbers -----------------------------------------------------------------------------------------


def read_limit_range(objects: Sequence[Manifest]) -> AmountRange | None:
    """What all LimitRanges of a namespace together allow one container; None where they do not bound containers."""
    given = replace(read_defaults(objects), cpu_request_millicores=None, memory_request_bytes=None)
    allowed = replace(_range_of(objects, "Container"), given=given)
    return None if allowed == AmountRange() else allowed


def read_pod_range(objects: Sequence[Manifest]) -> AmountRange | None:
    """What they together allow one pod in all; None where they do not bound pods."""
    allowed = _range_of(objects, "Pod")
    return None if allowed == AmountRange() else allowed


def _range_of(objects: Sequence[Manifest], kind: str) -> AmountRange:
    items = [item for one in objects for item in one["spec"].get("limits") or [] if item.get("type") == kind]
    least = [_both(item.get("min") or {}) for item in items]
    most = [_both(item.get("max") or {}) for item in items]
    ratios = [item.get("maxLimitRequestRatio") or {} for item in items]
    return AmountRange(
        _strictest(least, max),
        _strictest(most, min),
        cpu_ratio=_lowest(ratios, "cpu"),
        memory_ratio=_lowest(ratios, "memory"),
    )


def _lowest(ratios: Iterable[Mapping[str, Any]], resource: str) -> float | None:
    """The lowest of several ratios, which are written as quantities; None without one that can be read."""
    known = []
    for one in ratios:
        if one.get(resource) is not None:
            with suppress(BadInput):
                known.append(float(parse_quantity(str(one[resource]))))
    return min((ratio for ratio in known if ratio >= 1), default=None)


def read_defaults(objects: Iterable[Manifest]) -> Resources:
    """What LimitRanges give to a container that sets nothing; the default limit is the default request, too.

    Where several LimitRanges set it, Kubernetes does not define which one wins; the first is taken.
    """
    items = [item for one in objects for item in one["spec"].get("limits") or [] if item.get("type") == "Container"]
    found = Resources()
    for item in items:
        # The API server fills these in itself when the LimitRange is made: max -> default -> defaultRequest.
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        found = _filled(found, _resources(requests, limits))
    return found


def with_defaults(container: Container, defaults: Resources) -> tuple[Container, list[Reason]]:
    """A container as its pods run, and why: what it does not set comes from its limit, else from a LimitRange."""
    own, reasons = container.resources, []
    now = own
    for what, request, limit, write in (
        ("CPU", "cpu_request_millicores", "cpu_limit_millicores", format_cpu),
        ("memory", "memory_request_bytes", "memory_limit_bytes", format_memory),
    ):
        own_request, own_limit = getattr(now, request), getattr(now, limit)
        if own_request is None and own_limit is not None:
            text = f"{container.name} has a {what} limit and no request, so Kubernetes requests {write(own_limit)}"
            reasons.append(Reason("request-from-limit", text))
            now = replace(now, **{request: own_limit})
            continue
        for name, noun in ((request, "request"), (limit, "limit")):
            given = getattr(defaults, name)
            if getattr(now, name) is None and given is not None:
                text = f"{container.name} has no {what} {noun}; a LimitRange of the namespace sets {write(given)}"
                reasons.append(Reason("limit-range-default", text))
                now = replace(now, **{name: given})
    return replace(container, resources=now, written=None if now == own else own), reasons


def read_quota(quota: Manifest) -> Quota | None:
    """A ResourceQuota's amounts; None where it bounds neither CPU nor memory of every pod."""
    spec = quota["spec"]
    if spec.get("scopes") or spec.get("scopeSelector"):
        return None  # it counts only some pods (best effort, a priority class)
    hard = _quota_amounts((quota.get("status") or {}).get("hard") or spec.get("hard") or {})
    used = _quota_amounts((quota.get("status") or {}).get("used") or {})
    return None if hard == Resources() else Quota(quota["metadata"]["name"], hard, used)


def _quota_amounts(amounts: Mapping[str, Any]) -> Resources:
    return Resources(
        cpu_request_millicores=_amount(parse_cpu, amounts, "requests.cpu", "cpu"),
        cpu_limit_millicores=_amount(parse_cpu, amounts, "limits.cpu"),
        memory_request_bytes=_amount(parse_memory, amounts, "requests.memory", "memory"),
        memory_limit_bytes=_amount(parse_memory, amounts, "limits.memory"),
    )


def _both(amounts: Mapping[str, Any]) -> Resources:
    """A LimitRange's min and max bound both the request and the limit."""
    return _resources(amounts, amounts)


def _strictest(amounts: Sequence[Resources], choose: Callable[[list[int]], int]) -> Resources:
    chosen: dict[str, int] = {}
    for one in fields(Resources):
        known = [value for amount in amounts if (value := getattr(amount, one.name)) is not None]
        if known:
            chosen[one.name] = choose(known)
    return Resources(**chosen)


def _filled(first: Resources, then: Resources) -> Resources:
    missing = {one.name: getattr(then, one.name) for one in fields(Resources) if getattr(first, one.name) is None}
    return replace(first, **missing)


# --- the state of a rollout ------------------------------------------------------------------------------------------


def rollout_report(manifest: Manifest, workload: Workload) -> str | None:
    """What is still missing; None once the rollout is done. The rules are those of `kubectl rollout status`."""
    status = manifest.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "ProgressDeadlineExceeded":
            raise ClusterError(f"{named(workload)} does not become ready: {condition.get('message', '')}")
    if status.get("observedGeneration", 0) < manifest["metadata"].get("generation", 0):
        return "a change that its controller has not processed yet"
    wanted = replicas_of(manifest, workload.kind)
    if workload.kind == "DaemonSet":
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        total = updated
    else:
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        total = status.get("replicas", 0)
    if updated == available == total == wanted:
        return None
    return f"{available} of {wanted} replicas available, {updated} of the newest template, {total} in all"


def pod_complaints(pod: Manifest) -> Iterator[str]:
    """Why a pod does not run, as Kubernetes reports it."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}".rstrip(": ")
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            yield f"{container['name']} {waiting.get('reason', 'waits')} {waiting.get('message', '')}".rstrip()
