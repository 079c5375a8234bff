"""Which numbers change: what is recommended beside what is set now, container by container."""

from __future__ import annotations

from collections.abc import Iterator

from mora.domain import Advice, ContainerAdvice, Recommendation, Resources, Role, is_written
from mora.quantities import format_cpu, format_memory

# Kinds with a replica count.
SCALED_KINDS = ("Deployment", "StatefulSet", "Rollout")
# Section, resource and field of the four numbers of a container.
RESOURCE_FIELDS = (
    ("requests", "cpu", "cpu_request"),
    ("requests", "memory", "memory_request"),
    ("limits", "cpu", "cpu_limit"),
    ("limits", "memory", "memory_limit"),
)
_TEMPLATE_FIELDS = {
    "cpu_request": "cpu_request_millicores",
    "cpu_limit": "cpu_limit_millicores",
    "memory_request": "memory_request_bytes",
    "memory_limit": "memory_limit_bytes",
}


def quantity(resource: str, amount: int) -> str:
    """Millicores or bytes as Kubernetes spells them.

    >>> quantity("cpu", 127), quantity("memory", 248512512)
    ('127m', '237Mi')
    """
    return format_cpu(amount) if resource == "cpu" else format_memory(amount)


def sets(advice: Advice) -> bool:
    """Whether there is something to recommend: a number, or a limit to remove."""
    return advice.value is not None or (advice.is_unset and advice.now is not None)


def in_manifest(container: ContainerAdvice, name: str) -> int | None:
    """What the template has now for one of the four numbers; None where it does not set it."""
    amount: int | None = getattr(container.template, _TEMPLATE_FIELDS[name])
    return amount


def _writes(container: ContainerAdvice, name: str) -> bool:
    """Whether a manifest has to say it: a number, or a limit to remove from it.

    What pods get without the template's word (by a LimitRange, or a request by its limit) is neither written as long
    as it stays the same, nor removed.
    """
    advice: Advice = getattr(container, name)
    before = in_manifest(container, name)
    if advice.value is None:
        return advice.is_unset and before is not None
    return before is not None or advice.value != advice.now


def changes(advice: Advice) -> bool:
    """Whether what there is to write differs from the current value."""
    return sets(advice) and advice.value != advice.now


def advised_resources(advice: ContainerAdvice) -> dict[str, dict[str, str | None]]:
    """The `resources` to set, None for a limit to remove; fields without a recommendation are not in it."""
    return nested_resources(advice, is_back=False)


def previous_resources(advice: ContainerAdvice) -> dict[str, dict[str, str | None]]:
    """What the template has now of the fields that advised_resources() sets, None where not set: for the rollback."""
    return nested_resources(advice, is_back=True)


def nested_resources(container: ContainerAdvice, *, is_back: bool) -> dict[str, dict[str, str | None]]:
    """advised_resources(), or with `is_back` previous_resources()."""
    resources: dict[str, dict[str, str | None]] = {}
    for section, resource, name in RESOURCE_FIELDS:
        advice: Advice = getattr(container, name)
        if _writes(container, name):
            amount = in_manifest(container, name) if is_back else advice.value
            text = None if amount is None else quantity(resource, amount)
            resources.setdefault(section, {})[resource] = text
    return resources


def plain_resources(resources: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits in the form of a container's `resources`; what is not set is not in it."""
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


def container_numbers(container: ContainerAdvice) -> tuple[tuple[str, Advice], ...]:
    """The four numbers of a container under the names that people use."""
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


def has_number(recommendation: Recommendation) -> bool:
    """Whether anything is recommended for a workload, be it what is set now."""
    return any(advice.value is not None for _, advice in all_numbers(recommendation))


def is_injected(recommendation: Recommendation, name: str) -> bool:
    """Whether the container is injected at admission, so that no manifest of the workload can size it."""
    return any(container.name == name and container.is_injected for container in recommendation.current.containers)


def is_gone(recommendation: Recommendation, name: str) -> bool:
    """Whether the workload has no such container any more: a merge by name would add one without an image."""
    containers = recommendation.current.containers
    return bool(containers) and all(container.name != name for container in containers)


def in_template(recommendation: Recommendation) -> tuple[ContainerAdvice, ...]:
    """The advice on containers that are surely in the pod template, the main container's first."""
    unsure = {container.name for container in recommendation.current.containers if container.may_be_injected}
    return tuple(
        c
        for c in recommendation.containers
        if c.container not in unsure
        and not is_injected(recommendation, c.container)
        and not is_gone(recommendation, c.container)
    )


def to_write(recommendation: Recommendation) -> tuple[ContainerAdvice, ...]:
    """The containers of the template that there is something to write for."""
    return tuple(c for c in in_template(recommendation) if advised_resources(c))


def list_name(role: Role) -> str:
    """The list of a pod spec for containers of a role."""
    return "initContainers" if role in (Role.INIT, Role.NATIVE_SIDECAR) else "containers"


def sets_replicas(recommendation: Recommendation) -> bool:
    """Whether a patch sets the replicas: there is a number, and no autoscaler would overwrite it."""
    is_scaled = recommendation.current.autoscaler is not None or bool(recommendation.autoscalers)
    is_elsewhere = recommendation.template_in is not None  # a patch of that would scale another workload
    is_scalable = recommendation.workload.kind in SCALED_KINDS and not is_elsewhere
    return recommendation.replicas.value is not None and not is_scaled and is_scalable


def has_change(recommendation: Recommendation) -> bool:
    """Whether a number that the workload's manifest sets, or the target of its HPA, differs from the current one."""
    advice = [
        getattr(container, name)
        for container in to_write(recommendation)
        for _, _, name in RESOURCE_FIELDS
        if _writes(container, name)
    ]
    if sets_replicas(recommendation):
        advice.append(recommendation.replicas)
    is_retargeted = any(scaler not in recommendation.autoscalers for scaler in recommendation.retargets)
    return is_retargeted or any(map(changes, advice))


def is_due(recommendation: Recommendation) -> bool:
    """Whether applying an output would change the cluster; false for a kind whose template no patch changes."""
    return is_written(recommendation.workload.kind) and has_change(recommendation)
