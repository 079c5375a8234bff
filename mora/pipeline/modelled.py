"""What a trained model answers for its workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora import registry
from mora.domain import Allocation, Demand, Question, Reason, Recommendation, Slo, Workload, WorkloadState
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE, load_model, model_folder
from mora.model.freshness import check_fresh, measured_allocation, measured_container, observed_until
from mora.pipeline.drifting import drift_remarks

if TYPE_CHECKING:
    from mora.fleet.settings import FleetSettings
    from mora.fleet.stream import Ask, Modelled
    from mora.model import ServiceModel
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
    left_out: tuple[Reason, ...] = ()
    if frame is None:
        samples = dataset.read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged)
        frame, left_out = samples.frame, samples.reasons
    if frame.empty:
        raise NotEnoughData(f"There is no usable data of {service!r} in {data_dir}.", hint="Collect some: mora collect")
    current = None if current is None else _as_measured(current, model)
    remarks = check_fresh(
        model, current, now=now or datetime.now(UTC), stale_ok=stale_ok, seen_until=observed_until(frame, model)
    )
    remarks = (*remarks, *drift_remarks(model, frame))
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
        reasons=(*left_out, *remarks, *advice.reasons),
        model_digest=model.digest,
        model_as_of=data_end(model),
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


def trained_demand(
    models_dir: Path | str,
    data_dir: Path | str,
    settings: FleetSettings,
    *,
    question: Question | None = None,
    slo: Slo | None = None,
    stale_ok: bool = False,
    include_flagged: bool = False,
) -> Ask:
    """What the trained model of a workload answers, where there is one that fits what runs; else why it is not used."""
    from mora.domain import JOB_KINDS
    from mora.fleet.stream import Modelled

    asked = question if question is not None else question_of(settings.policy, slo=slo)

    def ask(state: WorkloadState) -> Modelled:
        workload = state.workload
        folder = model_folder(models_dir, workload.name, workload.namespace)
        if not folder.is_dir() or workload.kind in JOB_KINDS:
            return Modelled()
        try:
            return _answer(state, folder)
        except MoraError as error:
            text = f"the trained model in {folder} is not used, only the history is: {error.message}"
            return Modelled(remarks=(Reason("model-not-used", text),))

    def _answer(state: WorkloadState, folder: Path) -> Modelled:
        from mora import dataset
        from mora.outputs.provenance import model_facts

        workload = state.workload
        model = load_model(workload.name, models_dir=models_dir, namespace=workload.namespace)
        if model.workload.kind != workload.kind:
            raise BadModel(f"The model is of a {model.workload.kind}, not of a {workload.kind}.")
        if asked.has_load and not model.is_driven:
            raise no_load_known(workload)
        samples = dataset.read_samples(
            workload.name, data_dir, namespace=workload.namespace, include_flagged=include_flagged
        )
        frame = samples.frame
        remarks = samples.reasons + check_fresh(
            model,
            state.allocation,
            now=datetime.now(UTC),
            stale_ok=stale_ok,
            seen_until=observed_until(frame, model),
        )
        remarks = (*remarks, *drift_remarks(model, frame))
        horizon = None if model.is_driven else settings.horizon
        demand = ask_model(model, frame, state.allocation, replace(asked, horizon=horizon))
        return Modelled(demand, model.digest, remarks, data_end(model), model_facts(model.card))

    return ask


def no_load_known(workload: Workload) -> BadInput:
    """Why a load cannot be asked of a workload whose load experiments are not known."""
    name = workload.name
    return BadInput(
        f"--users, --rps and --scenario need load experiments, and there is no model of {name!r} that has any.",
        hint=f"Drive some (mora collect --plan quick, mora train {name}), or leave out --users, --rps and --scenario.",
    )


def load_not_answered(workload: Workload, why: Sequence[Reason]) -> NotEnoughData:
    """Why the load experiments of a workload have no number for a load."""
    name = workload.name
    reasons = "; ".join(dict.fromkeys(reason.text for reason in why)) or "no reason is known"
    return NotEnoughData(
        f"There is no number for {name!r} at this load: {reasons}.",
        hint=f"Ask for a load near those that were driven, drive a higher one (mora collect, mora train {name}), or "
        "leave out --users and --scenario.",
    )


def data_end(model: ServiceModel) -> datetime:
    """When the data ends that a model was trained on."""
    return datetime.fromisoformat(model.card["last_sample"])
