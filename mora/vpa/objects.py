"""A VerticalPodAutoscaler object as a value: its target, its policy, its status.

Pure: a manifest in, a frozen value out. What MOrA cannot follow becomes the `problem` of the object, never an
exception: one odd VPA must not stop the others. Field names and defaults are those of autoscaling.k8s.io/v1
(https://github.com/kubernetes/autoscaler, vertical-pod-autoscaler/docs/api.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from mora.clusters import kinds
from mora.clusters.shapes import MOST_BYTES, MOST_CORES, read
from mora.domain import API_VERSIONS, Workload
from mora.errors import BadInput
from mora.quantities import parse_cpu, parse_memory, parse_quantity

Manifest = Mapping[str, Any]
# Resource ("cpu", "memory") -> whole millicores or bytes.
Amounts = Mapping[str, int]

RESOURCES = ("cpu", "memory")
EVERY_OTHER = "*"
# A minimum above is written into no status.
_MOST: Amounts = {"cpu": MOST_CORES * 1000, "memory": MOST_BYTES}


@dataclass(frozen=True, slots=True)
class ContainerPolicy:
    """What spec.resourcePolicy says of one container.

    minimum, maximum: minAllowed and maxAllowed; a resource that is missing or 0 has none. controlled: the resources to
    recommend. is_off: mode Off, so none.
    """

    is_off: bool = False
    controlled: frozenset[str] = frozenset(RESOURCES)
    minimum: Amounts = field(default_factory=dict)
    maximum: Amounts = field(default_factory=dict)

    def clamp(self, resource: str, amount: int) -> int:
        """`amount` within the policy. Where the bounds contradict each other the upper one wins, as in the VPA.

        >>> ContainerPolicy(minimum={"cpu": 50}, maximum={"cpu": 200}).clamp("cpu", 20)
        50
        """
        raised = max(amount, self.minimum.get(resource, 0))
        return min(raised, self.maximum.get(resource, raised))


@dataclass(frozen=True, slots=True)
class Vpa:
    """One VPA object that asked for this recommender.

    workload: its target; None where it cannot be sized, and `problem` says why. policies: by
    container, "*" for those that are not named. status: {} where nothing was written yet. version: the
    resourceVersion, which a write is made conditional on.
    """

    namespace: str
    name: str
    workload: Workload | None
    problem: str | None
    policies: Mapping[str, ContainerPolicy]
    status: Manifest
    version: str

    def policy(self, container: str) -> ContainerPolicy:
        """The policy of a container: its own, else that of "*", else one without bounds."""
        return self.policies.get(container) or self.policies.get(EVERY_OTHER) or ContainerPolicy()


def asks_for(manifest: Manifest, recommender: str) -> bool:
    """Whether a VPA names this recommender; one that names none means the standard one.

    >>> asks_for({"spec": {"recommenders": [{"name": "mora"}]}}, "mora"), asks_for({"spec": {}}, "mora")
    (True, False)
    """
    spec = manifest.get("spec")
    named = spec.get("recommenders") if isinstance(spec, dict) else None
    selectors = named if isinstance(named, list) else []
    return any(isinstance(one, dict) and one.get("name") == recommender for one in selectors)


def read_vpa(listed: Manifest) -> Vpa:
    """A VPA object, as the API server lists it. Raises Unreadable for one that is none."""
    manifest = read(kinds.VPA, listed)
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    workload, policies, problem = None, {}, None
    try:
        workload = _target(metadata["namespace"], spec.get("targetRef") or {})
        policies = {
            policy.get("containerName") or EVERY_OTHER: _policy(policy)
            for policy in (spec.get("resourcePolicy") or {}).get("containerPolicies") or []
        }
    except BadInput as error:
        workload, problem = None, error.message
    return Vpa(
        namespace=metadata["namespace"],
        name=metadata["name"],
        workload=workload,
        problem=problem,
        policies=policies,
        status=manifest.get("status") or {},
        version=metadata.get("resourceVersion") or "",
    )


def _target(namespace: str, reference: Mapping[str, str]) -> Workload:
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if not kind or not name:
        raise BadInput("spec.targetRef names no workload.")
    known = API_VERSIONS.get(kind)
    # A version may differ (apps/v1beta2 is served as apps/v1); another group is another thing.
    group = (reference.get("apiVersion") or known or "").rpartition("/")[0]
    if known is None or group != known.rpartition("/")[0]:
        asked = f"{reference.get('apiVersion', '')} {kind}".strip()
        raise BadInput(f"spec.targetRef is a {asked}, which MOrA does not size. It sizes {', '.join(API_VERSIONS)}.")
    return Workload(namespace, name, kind)


def _policy(policy: Mapping[str, Any]) -> ContainerPolicy:
    controlled = policy.get("controlledResources")
    return ContainerPolicy(
        is_off=policy.get("mode") == "Off",
        controlled=frozenset(RESOURCES if controlled is None else controlled) & frozenset(RESOURCES),
        minimum=_amounts(policy.get("minAllowed"), "minAllowed", is_upper=False),
        maximum=_amounts(policy.get("maxAllowed"), "maxAllowed", is_upper=True),
    )


def _amounts(quantities: Mapping[str, str | int] | None, where: str, *, is_upper: bool) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for resource in RESOURCES:
        text = (quantities or {}).get(resource)
        if text is None:
            continue
        try:
            amount = maximum_of(resource, str(text)) if is_upper else amount_of(resource, str(text))
        except BadInput as error:
            raise BadInput(f"{where} of {resource}: {error.message}") from error
        if not is_upper and amount > _MOST[resource]:
            raise BadInput(f"{where} of {resource} is {str(text)[:40]!a}, more than any machine has.")
        # 0 stands for "no bound" there.
        if amount:
            amounts[resource] = amount
    return amounts


def amount_of(resource: str, text: str) -> int:
    """A quantity as whole millicores or bytes, rounded up.

    >>> amount_of("cpu", "0.5"), amount_of("memory", "262144k")
    (500, 262144000)
    """
    return parse_cpu(text) if resource == "cpu" else parse_memory(text)


def maximum_of(resource: str, text: str) -> int:
    """A quantity that must not be exceeded, as whole millicores or bytes, rounded down.

    >>> maximum_of("cpu", "100500u"), maximum_of("memory", "1.5")
    (100, 1)
    """
    unit = Decimal(1000 if resource == "cpu" else 1)
    return int((parse_quantity(text) * unit).to_integral_value(ROUND_FLOOR))
