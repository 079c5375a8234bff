"""What a team may set, and what surrounds a container and bounds its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mora.domain import AmountRange, Autoscaler, Reason, Resources, Target, VerticalScaler
from mora.domain.runtimes import Runtime
from mora.errors import BadInput
from mora.quantities import MIB

LimitPolicy = Literal["unset", "request", "keep", "ratio"]


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a team may set. CPU in millicores, memory in bytes, the rest are factors and shares."""

    cpu_buffer: float = 1.2
    """Factor on mean CPU use; applied once, here."""
    memory_buffer: float = 1.15
    """Factor on mean memory use; applied once, here."""
    limit_bound_factor: float = 1.2
    """Factor on limit-bound use: demand above a limit cannot be seen, and the next run shall see it."""
    oom_bump_factor: float = 1.2
    oom_bump_bytes: int = 100 * MIB
    """After an OOM kill: at least max(peak + bump, peak x factor)."""
    cpu_floor_millicores: int = 10
    memory_floor_bytes: int = 16 * MIB
    cpu_cap_millicores: int | None = None
    memory_cap_bytes: int | None = None
    min_change: float = 0.10
    """A smaller cut is not worth a rollout, nor is a raise of less than half of it (5 % at most)."""
    max_cpu_cut: float = 0.50
    max_memory_cut: float = 0.30
    """The most that one change cuts."""
    allow_any_step: bool = False
    cpu_limit: LimitPolicy = "unset"
    memory_limit: LimitPolicy = "request"
    """unset: none. request: equal to it. keep: as it is, or the request if that is more. ratio: limit:request stays."""
    min_replicas: int = 1
    max_replicas: int | None = None
    target_utilisation: float = 0.7
    """Share of the CPU request at which an HPA adds a replica where no SLO was measured."""
    name: str = "default"
    """The registered name of the policy that sizes; those of other packages are given these settings, too."""
    touch_autoscaled: bool = False
    """Change a request although an HPA scales on its utilisation."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, naming them."""
        factors = (self.cpu_buffer, self.memory_buffer, self.limit_bound_factor, self.oom_bump_factor)
        _check("Buffers and factors", 1.0, *factors)
        _check(
            "The OOM bump and the floors", 0, self.oom_bump_bytes, self.cpu_floor_millicores, self.memory_floor_bytes
        )
        _check("The minimum of replicas", 1, self.min_replicas)
        for name in ("max_cpu_cut", "max_memory_cut", "target_utilisation"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"{name} must be a share above 0 and at most 1, not {getattr(self, name)}.")
        if not 0 <= self.min_change <= 1:
            raise BadInput(f"min_change must be a share from 0 to 1, not {self.min_change}.")
        for name, floor in (
            ("cpu_cap_millicores", self.cpu_floor_millicores),
            ("memory_cap_bytes", self.memory_floor_bytes),
            ("max_replicas", self.min_replicas),
        ):
            cap = getattr(self, name)
            if cap is not None and cap < floor:
                raise BadInput(f"{name} is {cap}, below its floor of {floor}.")


def _check(what: str, least: float, *values: float) -> None:
    wrong: Sequence[float] = [value for value in values if not (math.isfinite(value) and value >= least)]
    if wrong:
        raise BadInput(f"{what} must be at least {least:g}, not {wrong[0]}.")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds a container and bounds its numbers, beside the settings.

    autoscalers: what the HPA of the workload scales on. shares_pod: whether other containers' requests count in the
    utilisation that it sees. limit_range: what the namespace allows a container. no_memory_cut: why memory is not cut.
    no_cut: why nothing is cut, and no number has a confidence. abnormal: why a cut is deferred while the service is not
    itself. largest_node: what the largest node has, as requests;
    None where not known. keeps_cores: whether the container has whole cores in a Guaranteed pod, which must stay so.
    vpas: those that target the workload. runtime: what runs in the container, where something tells how much memory it
    may take.
    """

    autoscalers: tuple[Autoscaler, ...] = ()
    shares_pod: bool = False
    limit_range: AmountRange | None = None
    no_memory_cut: Reason | None = None
    no_cut: Reason | None = None
    abnormal: Reason | None = None
    runtime: Runtime | None = None
    largest_node: Resources | None = None
    vpas: tuple[VerticalScaler, ...] = ()
    keeps_cores: bool = False

    def ruling(self, target: Target, container: str) -> VerticalScaler | None:
        """The VPA that sets this request of the container's pods; None where none does."""
        return next((vpa for vpa in self.vpas if vpa.rules(container, target)), None)

    def kept(self, target: Target) -> Reason | None:
        """Why a resource is not cut; None where it may be."""
        return self.no_cut or (self.no_memory_cut if target is Target.MEMORY else None) or self.abnormal

    def scaling_on(self, target: Target, container: str) -> Autoscaler | None:
        """The HPA's metric that a new request of the container would move; None where there is none."""
        return next(
            (
                scaler
                for scaler in self.autoscalers
                if scaler.is_utilisation and scaler.resource is target and scaler.container in (None, container)
            ),
            None,
        )
