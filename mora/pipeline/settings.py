"""Settings of a run, as the groups that the rooms below take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from mora.config import Settings
    from mora.fleet.settings import FleetSettings
    from mora.model import ServiceModel, TrainSettings
    from mora.policies import LimitPolicy, PolicySettings


def fleet_settings(settings: Settings, *, excluded: Sequence[str] = ()) -> FleetSettings:
    """What the settings say to a run over many workloads. excluded: START/END of windows that are left out."""
    from mora.fleet.settings import FleetSettings
    from mora.fleet.spans import parse_span

    return FleetSettings(
        policy=policy_settings(settings),
        horizon=timedelta(seconds=settings.horizon_seconds),
        excluded=tuple(parse_span(text) for text in excluded),
        include_sidecars=settings.include_sidecars,
        allow_jvm_cut=settings.allow_jvm_cut,
        namespaces=settings.namespaces,
        workloads=settings.workloads,
    )


def policy_settings(settings: Settings) -> PolicySettings:
    """What the settings say to the policy."""
    from mora.policies import PolicySettings

    return PolicySettings(
        cpu_buffer=settings.cpu_buffer,
        memory_buffer=settings.memory_buffer,
        cpu_floor_millicores=settings.cpu_floor_millicores,
        memory_floor_bytes=settings.memory_floor_bytes,
        cpu_cap_millicores=settings.cpu_cap_millicores,
        memory_cap_bytes=settings.memory_cap_bytes,
        min_change=settings.min_change,
        max_cpu_cut=settings.max_cpu_cut,
        max_memory_cut=settings.max_memory_cut,
        allow_any_step=settings.allow_any_step,
        cpu_limit=cast("LimitPolicy", settings.cpu_limit),
        memory_limit=cast("LimitPolicy", settings.memory_limit),
        touch_autoscaled=settings.touch_autoscaled,
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        target_utilisation=settings.target_utilisation,
    )


def requested_horizon(settings: Settings, model: ServiceModel) -> timedelta | None:
    """The hold to recommend for; None for driven data, unless --hold asks for one by name (and is refused in words).

    A `hold` in mora.toml is meant for the services that are watched, beside others that were driven.
    """
    if model.is_driven and settings.origin("horizon_seconds") != "--hold":
        return None
    return timedelta(seconds=settings.horizon_seconds)


def train_settings(settings: Settings) -> TrainSettings:
    """What the settings say to training."""
    from mora.model import TrainSettings

    prophet = settings.prophet_weight
    return TrainSettings(
        seed=settings.seed,
        weights={"prophet": prophet, "lstm": round(1.0 - prophet, 12)},
        learn_weights=settings.learn_weights,
        horizon=timedelta(seconds=settings.horizon_seconds),
        slo=settings.slo,
    )
