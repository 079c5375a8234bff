"""What an API server and a kubelet do with a resize in place, for the strict API server of these tests.

The server's rules: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/, "Limitations",
and k8s.io/kubernetes, pkg/apis/core/validation.ValidatePodResize; LimitRanger and ResourceQuota check a resize, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.clusters.checking import amount
from tests.clusters.refusal import Refusal

Manifest = dict[str, Any]
_SIDES = ("requests", "limits")


def resized(
    before: Manifest, wanted: Manifest, *, version: str, objects: Mapping[tuple[str, str, str], Manifest]
) -> Manifest:
    """A pod's spec with other resources; Refusal where the server of that version does not allow it."""
    name = before["metadata"]["name"]
    if _bare(before["spec"]) != _bare(wanted["spec"]):
        raise Refusal(422, f'Pod "{name}" is invalid: spec: Forbidden: only cpu and memory resources are mutable')
    if quality(before["spec"]) != quality(wanted["spec"]):
        raise Refusal(
            422,
            f'Pod "{name}" is invalid: spec: Invalid value: "{quality(wanted["spec"])}": Pod QOS Class may not change '
            "as a result of resizing",
        )
    for old, new in zip(_containers(before["spec"]), _containers(wanted["spec"]), strict=True):
        _check(f'Pod "{name}" is invalid: spec.containers[{new["name"]}].resources', old, new, version)
    _check_range(name, wanted, objects)
    _check_quota(name, before, wanted, objects)
    spec: Manifest = wanted["spec"]
    return spec


def quality(spec: Manifest) -> str:
    """The QoS class of a pod spec."""
    sides = [one.get("resources") or {} for one in spec["containers"]]
    if not any(side.get("requests") or side.get("limits") for side in sides):
        return "BestEffort"
    full = all(
        {"cpu", "memory"} <= set(side.get("limits") or {})
        and (side.get("requests") or side["limits"]) == side["limits"]
        for side in sides
    )
    return "Guaranteed" if full else "Burstable"


def _bare(spec: Manifest) -> Any:
    keys = ("containers", "initContainers")
    return [[{n: v for n, v in one.items() if n != "resources"} for one in spec.get(key) or []] for key in keys]


def _containers(spec: Manifest) -> Iterator[Manifest]:
    for key in ("containers", "initContainers"):
        yield from spec.get(key) or []


def _check(where: str, old: Manifest, new: Manifest, version: str) -> None:
    for side in _SIDES:
        had, has = ((one.get("resources") or {}).get(side) or {} for one in (old, new))
        gone = sorted(set(had) - set(has))
        if gone:
            raise Refusal(422, f"{where}: Forbidden: resource {side} cannot be removed")
        if side == "limits" and "memory" in had and amount(has["memory"]) < amount(had["memory"]):
            policies = {one["resourceName"]: one.get("restartPolicy") for one in old.get("resizePolicy") or []}
            minor = int(version.split(".")[1])
            if minor < 35 and policies.get("memory") != "RestartContainer":
                raise Refusal(
                    422,
                    f"{where}.limits: Forbidden: memory limits cannot be decreased unless resizePolicy is "
                    "RestartContainer",
                )


def _check_range(name: str, wanted: Manifest, objects: Mapping[tuple[str, str, str], Manifest]) -> None:
    namespace = wanted["metadata"]["namespace"]
    for (plural, its_namespace, _), one in objects.items():
        if plural != "limitranges" or its_namespace != namespace:
            continue
        for limit in one["spec"]["limits"]:
            if limit["type"] != "Container":
                continue
            for container in _containers(wanted["spec"]):
                resources = container.get("resources") or {}
                for what, text in (limit.get("max") or {}).items():
                    asked = (resources.get("limits") or {}).get(what)
                    if asked is not None and amount(asked) > amount(text):
                        raise Refusal(
                            403,
                            f'pods "{name}" is forbidden: maximum {what} usage per Container is {text}, but limit is '
                            f"{asked}",
                        )
                for what, text in (limit.get("min") or {}).items():
                    asked = (resources.get("requests") or {}).get(what)
                    if asked is not None and amount(asked) < amount(text):
                        raise Refusal(
                            403,
                            f'pods "{name}" is forbidden: minimum {what} usage per Container is {text}, but request '
                            f"is {asked}",
                        )


def _check_quota(
    name: str, before: Manifest, wanted: Manifest, objects: Mapping[tuple[str, str, str], Manifest]
) -> None:
    namespace = wanted["metadata"]["namespace"]
    for (plural, its_namespace, quota_name), one in objects.items():
        if plural != "resourcequotas" or its_namespace != namespace:
            continue
        for key, hard in one["spec"]["hard"].items():
            side, _, what = key.partition(".")
            if side not in _SIDES:
                continue
            used = sum(
                _total(pod, side, what)
                for (kind, its, _), pod in objects.items()
                if kind == "pods" and its == namespace and pod["metadata"]["name"] != name
            )
            more = _total(wanted, side, what)
            if used + more > amount(hard) and more > _total(before, side, what):
                raise Refusal(
                    403,
                    f'pods "{name}" is forbidden: exceeded quota: {quota_name}, requested: {key}={more}, used: '
                    f"{key}={used}, limited: {key}={hard}",
                )


def _total(pod: Manifest, side: str, what: str) -> Decimal:
    return sum(
        (
            amount(((one.get("resources") or {}).get(side) or {}).get(what, "0"))
            for one in pod["spec"].get("containers") or []
        ),
        Decimal(0),
    )


def _same(one: Manifest, other: Manifest) -> bool:
    """Whether two `resources` are the same amounts, however they are written."""
    return _numbers(one) == _numbers(other)


def _numbers(resources: Manifest) -> dict[str, dict[str, Decimal]]:
    return {side: {what: amount(text) for what, text in amounts.items()} for side, amounts in resources.items()}


@dataclass
class Kubelet:
    """Brings the status of pods to what their spec asks for, as far as the node has room.

    deferred, infeasible: pod names whose resize waits, or can never be. failing: whose resize the node tries in vain.
    """

    objects: dict[tuple[str, str, str], Manifest]
    deferred: set[str] = field(default_factory=set)
    infeasible: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)

    def step(self) -> None:
        """One look at every pod."""
        for (plural, _, name), pod in self.objects.items():
            if plural != "pods":
                continue
            status = pod.setdefault("status", {})
            statuses = {one["name"]: one for one in status.setdefault("containerStatuses", [])}
            wanted = {one["name"]: one.get("resources") or {} for one in pod["spec"]["containers"]}
            is_done = all(_same(statuses.get(n, {}).get("resources", {}), given) for n, given in wanted.items())
            status["conditions"] = [
                one for one in status.get("conditions") or [] if not one["type"].startswith("PodResize")
            ]
            if is_done:
                continue
            if name in self.infeasible:
                self._pending(status, "Infeasible", "Node didn't have enough capacity: cpu, requested: 9000")
            elif name in self.deferred:
                self._pending(status, "Deferred", "Node didn't have enough resource: cpu")
            elif name in self.failing:
                status["conditions"].append(
                    {
                        "type": "PodResizeInProgress",
                        "status": "True",
                        "reason": "Error",
                        "message": "memory limit below current usage",
                    }
                )
            else:
                for container, given in wanted.items():
                    statuses[container]["resources"] = {side: dict(amounts) for side, amounts in given.items()}

    def _pending(self, status: Manifest, reason: str, message: str) -> None:
        status["conditions"].append(
            {"type": "PodResizePending", "status": "True", "reason": reason, "message": message}
        )
