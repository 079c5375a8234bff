"""An HPA's target that changes together with the requests it measures against, so that it scales at the same use.

An HPA on utilisation divides the pod's use by the pod's requests, all containers together (type Resource), or those of
one of them (type ContainerResource). Where requests change from `before` to `after`, target x before / after keeps the
use at which a replica is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mora.domain import KEDA_PREFIX, Autoscaler, Container, Reason, Recommendation, Resources, Role, Target
from mora.quantities import format_cpu, format_memory


def with_retargets(advice: Recommendation) -> Recommendation:
    """The same advice with what its HPA's targets must become, and why; nothing where no such request changes."""
    found = [_retarget(scaler, advice) for scaler in advice.autoscalers if scaler.is_utilisation]
    return replace(
        advice,
        retargets=tuple(scaler for scaler, _ in found if scaler is not None),
        reasons=(*advice.reasons, *(reason for _, reason in found if reason is not None)),
    )


def unmeasured(scaler: Autoscaler, containers: Sequence[Container]) -> Reason | None:
    """Why the HPA cannot work as it is: a container that it counts has no request. None where all have one."""
    without = [
        container.name for container in _counted(scaler, containers) if not _request(container.resources, scaler)
    ]
    if not scaler.is_utilisation or not without:
        return None
    text = (
        f"the HPA {scaler.name} cannot measure {scaler.resource.value} utilisation: "
        f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no {scaler.resource.value} request"
    )
    return Reason("autoscaler-blind", text)


def _retarget(scaler: Autoscaler, advice: Recommendation) -> tuple[Autoscaler | None, Reason | None]:
    if unmeasured(scaler, advice.current.containers) is not None:
        return None, None
    before = _total(scaler, advice.current.containers)
    after = _total(scaler, advice.target.containers)
    if before == after or not after:
        return None, None
    percent = max(1, math.floor(round(scaler.target * before / after, 6)))
    of_what = f"container {scaler.container}" if scaler.container else "the pod"
    text = (
        f"change the HPA {scaler.name} together with the requests, from {scaler.target}% of {_written(scaler, before)} "
        f"to {percent}% of {_written(scaler, after)} ({scaler.resource.value} of {of_what}): it then adds replicas at "
        "the same use"
    )
    if scaler.name.startswith(KEDA_PREFIX):
        text += (
            "; KEDA owns this HPA: change the trigger of its ScaledObject "
            f"{scaler.name.removeprefix(KEDA_PREFIX)} instead"
        )
    return replace(scaler, target=percent), Reason("autoscaler-retarget", text)


def _counted(scaler: Autoscaler, containers: Sequence[Container]) -> list[Container]:
    running = [container for container in containers if container.role is not Role.INIT]
    return [container for container in running if scaler.container in (None, container.name)]


def _total(scaler: Autoscaler, containers: Sequence[Container]) -> int:
    return sum(_request(container.resources, scaler) or 0 for container in _counted(scaler, containers))


def _request(resources: Resources, scaler: Autoscaler) -> int | None:
    is_cpu = scaler.resource is Target.CPU
    return resources.cpu_request_millicores if is_cpu else resources.memory_request_bytes


def _written(scaler: Autoscaler, amount: int) -> str:
    return format_cpu(amount) if scaler.resource is Target.CPU else format_memory(amount)
