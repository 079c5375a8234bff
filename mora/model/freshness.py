"""Whether a model still describes what runs: the age of its data, the image, the limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mora.domain import Allocation, Container, Reason, Resources
from mora.errors import StaleAnswer
from mora.quantities import format_moment

if TYPE_CHECKING:
    from mora.model import ServiceModel

# Observed data that ended longer ago may not describe what runs now; a week is the longest period that is looked for.
STALE_AFTER = timedelta(days=7)


def measured_container(model: ServiceModel) -> str | None:
    """The container that the model's data was measured of; None where that is not known."""
    name: str | None = (model.card.get("measured") or {}).get("container")
    return name


def measured_allocation(model: ServiceModel) -> Allocation:
    """The workload as it stood when the model's data was collected, from the model's card."""
    seen = model.card.get("measured") or {}
    resources = seen.get("resources") or {}
    fields = Resources.__dataclass_fields__
    container = Container(
        # Its name is not known: most charts name it like the workload.
        name=seen.get("container") or model.workload.name,
        resources=Resources(**{name: resources[name] for name in fields if resources.get(name) is not None}),
        image=seen.get("image"),
        is_main=True,
    )
    return Allocation(replicas=seen.get("replicas"), containers=(container,))


def observed_until(frame: Any, model: ServiceModel) -> datetime | None:
    """When the history at hand ends, which may be later than the training did; None where none is asked."""
    from mora.metrics import OBSERVED_SCENARIO

    if model.card.get("driven"):
        return None
    watched = frame[frame["scenario"] == OBSERVED_SCENARIO]
    until: datetime | None = None if watched.empty else watched["timestamp"].max().to_pydatetime()
    return until


def check_fresh(
    model: ServiceModel,
    current: Allocation | None,
    *,
    now: datetime,
    stale_ok: bool,
    seen_until: datetime | None = None,
) -> tuple[Reason, ...]:
    """Refuse, or with `stale_ok` remark, that the data does not describe what runs now.

    seen_until: when the history ends that is answered from; by default, when that of the training ended.
    """
    remarks = []
    is_driven = bool(model.card.get("driven"))
    last_sample = seen_until or datetime.fromisoformat(model.card["last_sample"])
    if not is_driven and now - last_sample > STALE_AFTER:
        age_days = (now - last_sample).days
        remarks.append(
            Reason(
                "stale-data",
                f"The data ends {age_days} days ago ({format_moment(last_sample)}); use may have changed since.",
            )
        )
    if current is not None and current.main is not None:
        measured = measured_container(model)
        if measured is not None and measured != current.main.name:
            there = ", ".join(container.name for container in current.containers)
            text = f"It has no container {measured!r}, which the data is of; there are: {there}."
            remarks.append(Reason("container-changed", text))
        remarks += _differences(measured_allocation(model), current.main)
    if remarks and not stale_ok:
        words = " ".join(remark.text for remark in remarks)
        raise StaleAnswer(
            f"The data of {model.workload.name!r} does not describe what runs now. {words}",
            hint=f"Collect and train again (mora train {model.workload.name}), or accept the answer with --stale-ok.",
        )
    return tuple(remarks)


def _differences(state: Allocation, container: Container) -> list[Reason]:
    seen = state.main
    if seen is None:
        return []
    found = []
    if seen.image and container.image and seen.image != container.image:
        found.append(Reason("image-changed", f"It runs image {container.image}; the data is of {seen.image}."))
    before, after = seen.resources, container.resources
    for name, old, new in (
        ("CPU", before.cpu_limit_millicores, after.cpu_limit_millicores),
        ("memory", before.memory_limit_bytes, after.memory_limit_bytes),
    ):
        if old != new:
            found.append(
                Reason(
                    "limits-changed",
                    f"Its {name} limit is {_limit(name, new)}; it was {_limit(name, old)} when the data was collected.",
                )
            )
    return found


def _limit(name: str, amount: int | None) -> str:
    from mora.quantities import format_cpu, format_memory

    if amount is None:
        return "not set"
    return format_cpu(amount) if name == "CPU" else format_memory(amount)
