"""Recommending: what a service should request, be limited to and run as, and the result as text or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora import registry
from mora.domain import Allocation, Demand, Question, Reason, Recommendation, Slo
from mora.errors import NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE, load_model
from mora.model.freshness import check_fresh, measured_allocation, measured_container, observed_until

if TYPE_CHECKING:
    from mora.model import ServiceModel
    from mora.outputs import OutputSettings
    from mora.outputs.folder import Written
    from mora.policies import PolicySettings
    from mora.seams import Policy


def recommend(
    service: str,
    question: Question | None = None,
    *,
    users: int | None = None,
    scenario: str | None = None,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    policy: PolicySettings | None = None,
    current: Allocation | None = None,
    stale_ok: bool = False,
    include_flagged: bool = False,
    model: ServiceModel | None = None,
    frame: Any = None,
    now: datetime | None = None,
) -> Recommendation:
    """What `service` should request, be limited to and run as, and why.

    question: what it is sized for. users, scenario: its load, for short; without users the highest driven load that met
    the SLO is meant. current: the workload as it runs now (from a cluster); by default, as it ran when the data was
    collected. now: the wall clock, only to tell whether observed data has aged; no number depends on it.
    Raises StaleAnswer where the data does not describe what runs, unless `stale_ok`.
    """
    from mora import dataset, policies
    from mora.outputs.provenance import model_facts

    settings = policy if policy is not None else policies.PolicySettings()
    asked = question if question is not None else question_of(settings)
    if users is not None:
        asked = replace(asked, users=users)
    if scenario is not None:
        asked = replace(asked, scenario=scenario)
    model = model if model is not None else load_model(service, models_dir=models_dir, namespace=namespace)
    if frame is None:
        frame = dataset.read_dataset(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    if frame.empty:
        raise NotEnoughData(f"There is no usable data of {service!r} in {data_dir}.", hint="Collect some: mora collect")
    current = None if current is None else _as_measured(current, model)
    remarks = check_fresh(
        model, current, now=now or datetime.now(UTC), stale_ok=stale_ok, seen_until=observed_until(frame, model)
    )
    state = current if current is not None else measured_allocation(model)
    demand = ask_model(model, frame, state, asked)
    size: Policy = registry.load("policies", settings.name)
    advice = size(demand, state, settings)
    if current is None and measured_container(model) is None:
        text = (
            f"the data does not say what the container is called: {advice.main.container!r} is a guess; look before "
            "you apply it, or compare with what runs (--target kubernetes)"
        )
        remarks = (*remarks, Reason("container-guessed", text))
    return replace(
        advice,
        reasons=(*remarks, *advice.reasons),
        model_digest=model.digest,
        model_facts=model_facts(model.card),
    )


def question_of(policy: PolicySettings, *, slo: Slo | None = None) -> Question:
    """The question that a policy leaves open: the SLO and the bounds on the replicas, no load and no horizon."""
    return Question(
        slo=slo if slo is not None else Slo(),
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        target_utilisation=policy.target_utilisation,
    )


def ask_model(model: ServiceModel, frame: Any, state: Allocation, question: Question) -> Demand:
    """What a model answers, within the replicas that the workload's autoscaler leaves."""
    scaler = state.autoscaler
    if scaler is None:
        return model.demand(frame, question, current_replicas=state.replicas)
    most = min(question.max_replicas or scaler.max_replicas, scaler.max_replicas)
    within = replace(question, max_replicas=max(most, question.min_replicas))
    # An autoscaler that cannot add enough ends at its maximum.
    return model.demand(frame, within, current_replicas=scaler.max_replicas)


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
