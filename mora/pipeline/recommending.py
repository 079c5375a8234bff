"""Recommending: what a service should request, be limited to and run as, and the result as text or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora import registry
from mora.domain import Allocation, Demand, Reason, Recommendation, Slo
from mora.errors import BadInput, NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE, load_model
from mora.model.freshness import check_fresh, measured_allocation, measured_container, observed_until

if TYPE_CHECKING:
    from mora.model import ServiceModel
    from mora.outputs import OutputSettings
    from mora.outputs.folder import Written
    from mora.policies import PolicySettings


def recommend(
    service: str,
    *,
    users: int | None = None,
    scenario: str | None = None,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    slo: Slo | None = None,
    min_replicas: int = 1,
    target_utilisation: float = 0.7,
    policy: PolicySettings | None = None,
    current: Allocation | None = None,
    stale_ok: bool = False,
    include_flagged: bool = False,
    model: ServiceModel | None = None,
    frame: Any = None,
    now: datetime | None = None,
    horizon: timedelta | None = None,
) -> Recommendation:
    """What `service` should request, be limited to and run as, and why.

    users, scenario: the load asked for; without users the highest driven load that kept the SLO is meant.
    current: the workload as it stands now (from a cluster); without it, as it stood when the data was collected.
    now: the wall clock, only to tell whether observed data has aged; no number depends on it.
    hold: how long the number stands, observed data only; by default what the training was told (a day).
    Raises StaleAnswer where the data does not describe what runs, unless `stale_ok`.
    """
    from mora import dataset, policies

    if users is not None and users < 1:
        raise BadInput(f"--users must be at least 1, not {users}.")
    model = model if model is not None else load_model(service, models_dir=models_dir, namespace=namespace)
    if frame is None:
        frame = dataset.read_dataset(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    if frame.empty:
        raise NotEnoughData(f"There is no usable data of {service!r} in {data_dir}.", hint="Collect some: mora collect")
    current = None if current is None else _as_measured(current, model)
    remarks = check_fresh(
        model, current, now=now or datetime.now(UTC), stale_ok=stale_ok, seen_until=observed_until(frame, model)
    )
    settings = policy if policy is not None else policies.PolicySettings()
    state = current if current is not None else measured_allocation(model)
    demand = ask_model(
        model,
        frame,
        state,
        users=users,
        scenario=scenario,
        slo=slo or Slo(),
        min_replicas=min_replicas,
        target_utilisation=target_utilisation,
        max_replicas=settings.max_replicas,
        horizon=horizon,
    )
    advice = policies.recommend(demand, state, settings)
    if current is None and measured_container(model) is None:
        text = (
            f"the data does not say what the container is called: {advice.main.container!r} is a guess; look before "
            "you apply it, or compare with what runs (--target kubernetes)"
        )
        remarks = (*remarks, Reason("container-guessed", text))
    return replace(advice, reasons=(*remarks, *advice.reasons), model_digest=model.digest)


def ask_model(
    model: ServiceModel, frame: Any, state: Allocation, *, min_replicas: int, max_replicas: int | None, **asked: Any
) -> Demand:
    """What a model says, within the replicas that the workload's autoscaler leaves."""
    scaler = state.autoscaler
    if scaler is not None:
        max_replicas = max(min(max_replicas or scaler.max_replicas, scaler.max_replicas), min_replicas)
    return model.demand(
        frame,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        # An autoscaler that cannot add enough ends at its most.
        current_replicas=state.replicas if scaler is None else scaler.max_replicas,
        **asked,
    )


def _as_measured(current: Allocation, model: ServiceModel) -> Allocation:
    """The workload with that container as its main one which the data was measured of: no other gets its numbers.

    A cluster and a Prometheus may choose differently, where only one of them knows the pods' annotations.
    """
    measured = measured_container(model)
    if measured not in [container.name for container in current.containers]:
        return current
    return replace(current, containers=tuple(replace(c, is_main=c.name == measured) for c in current.containers))


def render(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str = "table",
    settings: OutputSettings | None = None,
) -> str:
    """Recommendations as text: table, json, yaml, patch, kustomize, vpa, hpa or commands."""
    from mora.outputs import OutputSettings

    text: str = registry.load("outputs", output)(_many(recommendations), settings or OutputSettings())
    return text


def write_output(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str,
    folder: Path,
    settings: OutputSettings | None = None,
    *,
    overwrite: bool = False,
) -> Written:
    """Any output as files in `folder`, all of them or none; see mora/outputs/folder.py for what it does not touch."""
    from mora.outputs import OutputSettings
    from mora.outputs.folder import write

    return write(output, _many(recommendations), folder, settings or OutputSettings(), overwrite=overwrite)


def _many(recommendations: Recommendation | Sequence[Recommendation]) -> list[Recommendation]:
    return [recommendations] if isinstance(recommendations, Recommendation) else list(recommendations)
