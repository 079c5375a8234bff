"""What recommendations free: cores and GiB that pods would no longer reserve, and their price per month.

A pod reserves its effective request for as long as it exists: what its containers request together, or an init
container alone where that is more, and the overhead of its RuntimeClass. What is freed is that now x replicas now, less
that then x replicas then. The length of the history plays no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from mora.domain import JOB_KINDS, Allocation, Recommendation, Resources, Role
from mora.errors import BadInput
from mora.quantities import GIB, counted

# 365 days of 24 hours in 12 months, as cloud bills count.
HOURS_PER_MONTH = 730


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of a reserved core and of a reserved GiB per hour.

    The defaults are OpenCost's for a cluster without a price list (github.com/opencost/opencost, configs/default.json:
    CPU and RAM on demand, "based on GCP us-central1").
    """

    cpu_per_core_hour: float = 0.031611
    memory_per_gib_hour: float = 0.004237
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name, price in (("core", self.cpu_per_core_hour), ("GiB", self.memory_per_gib_hour)):
            if not 0 <= price < float("inf"):
                raise BadInput(f"The price per {name}-hour must be a number of at least 0, not {price}.")


@dataclass(frozen=True, slots=True)
class Savings:
    """What is freed, where positive, or taken in addition, where negative.

    cores, memory_gib: freed by containers whose request is known on both sides; *_now: what those reserve now.
    new_cores, new_memory_gib: reserved anew for containers that request nothing now; they used a node's idle part
    before, so nothing is lost. without_request: how many containers request no CPU or no memory now.
    without_replicas: workloads that do not run all the time (Jobs, CronJobs), or whose replicas or requests are
    unknown. held_by_init: workloads whose pods go on reserving what an init container or the pod itself requests, so
    that cuts free less.
    """

    cores: float
    memory_gib: float
    cores_now: float
    memory_gib_now: float
    new_cores: float
    new_memory_gib: float
    without_request: int
    without_replicas: int
    prices: Prices | None = None
    held_by_init: int = 0

    @property
    def money_per_month(self) -> float | None:
        """What is freed, in the currency of the prices; None without prices.

        >>> Savings(2.0, 4.0, 10.0, 20.0, 0.0, 0.0, 0, 0, Prices(0.03, 0.004)).money_per_month
        55.48
        """
        if self.prices is None:
            return None
        hourly = self.cores * self.prices.cpu_per_core_hour + self.memory_gib * self.prices.memory_per_gib_hour
        return round(hourly * HOURS_PER_MONTH, 2)


def savings(recommendations: Sequence[Recommendation], prices: Prices | None = None) -> Savings:
    """What all of the recommendations together free.

    Injected containers keep their requests, which no manifest of the workload can change, and a replica less frees them
    as well.
    """
    cores = memory = cores_now = memory_now = new_cores = new_memory = 0.0
    without_request = without_replicas = held = 0
    for recommendation in recommendations:
        now, then = recommendation.current, recommendation.target
        is_job = recommendation.workload.kind in JOB_KINDS
        if now.replicas is None or then.replicas is None or is_job or not now.is_described:
            without_replicas += 1
            continue
        of_cpu, of_memory = (_freed(now, then, amount, now.replicas, then.replicas) for amount in _REQUESTS)
        cores, cores_now, new_cores = (
            total + value / 1000 for total, value in zip((cores, cores_now, new_cores), of_cpu.amounts, strict=True)
        )
        memory, memory_now, new_memory = (
            total + value / GIB
            for total, value in zip((memory, memory_now, new_memory), of_memory.amounts, strict=True)
        )
        held += of_cpu.is_held or of_memory.is_held
        without_request += sum(
            None in (one.resources.cpu_request_millicores, one.resources.memory_request_bytes)
            for one in now.containers
            if one.role is not Role.INIT
        )
    return Savings(
        cores, memory, cores_now, memory_now, new_cores, new_memory, without_request, without_replicas, prices, held
    )


def summed(parts: Sequence[Savings], prices: Prices | None) -> Savings:
    """The savings of several workloads together.

    >>> summed([Savings(1, 2, 3, 4, 0, 0, 1, 0), Savings(1, 0, 1, 1, 0, 0, 0, 1)], None).cores_now
    4
    """
    names = [field.name for field in fields(Savings) if field.name != "prices"]
    return Savings(**{name: sum(getattr(part, name) for part in parts) for name in names}, prices=prices)


_REQUESTS = ("cpu_request_millicores", "memory_request_bytes")


@dataclass(frozen=True, slots=True)
class _Freed:
    """Millicores or bytes over all replicas: freed, reserved now, reserved anew. is_held: by an init container."""

    amounts: tuple[int, int, int]
    is_held: bool


def _freed(now: Allocation, then: Allocation, amount: str, replicas_now: int, replicas_then: int) -> _Freed:
    counted = _only(then, {one.name for one in now.containers if getattr(one.resources, amount) is not None})
    before, after, all_after = (each.effective(amount) for each in (now, counted, then))
    is_held = now.running(amount) - counted.running(amount) > before - after
    freed, reserved = before * replicas_now - after * replicas_then, before * replicas_now
    return _Freed((freed, reserved, (all_after - after) * replicas_then), is_held)


def _only(allocation: Allocation, names: set[str]) -> Allocation:
    """The allocation with the requests of these containers alone."""
    return replace(
        allocation,
        containers=tuple(
            one if one.name in names else replace(one, resources=Resources()) for one in allocation.containers
        ),
    )


def words(recommendations: Sequence[Recommendation], prices: Prices | None = None) -> str:
    """What this change frees and, where it is only the first of several, what the last one will have freed."""
    now, goal = (savings(which, prices) for which in (recommendations, [one.at_goal for one in recommendations]))
    text = line(now)
    if (now.cores, now.memory_gib) == (goal.cores, goal.memory_gib):
        return text
    return f"{text} That is this step; after all steps: {_freed_parts(goal)}."


def line(freed: Savings) -> str:
    """One line for a person.

    >>> line(Savings(1.5, -0.25, 6.0, 8.0, 0.2, 0.0, 3, 1, Prices()))
    'Frees 1.5 of 6 cores (25%), adds 0.25 GiB to 8 (3%): 33.84 USD a month less at 0.031611 a core-hour and
     0.004237 a GiB-hour. 3 containers without a request are not counted; setting one reserves 0.2 cores anew.
     1 workload is not counted: it does not run all the time, or its replicas or requests are not known.'
    """
    text = _freed_parts(freed)
    text = text[0].upper() + text[1:]
    if freed.prices is not None and freed.money_per_month is not None:
        prices = f"{freed.prices.cpu_per_core_hour:g} a core-hour and {freed.prices.memory_per_gib_hour:g} a GiB-hour"
        text += f" at {prices}"
    return f"{text}. {not_counted(freed)}".rstrip()


def not_counted(freed: Savings) -> str:
    """What the sums leave out, and why, a sentence each; empty where they leave out nothing."""
    sentences = []
    if freed.without_request:
        text = (
            f"{counted(freed.without_request, 'container')} without a request {_are(freed.without_request)} not counted"
        )
        new = [_units(amount, unit) for amount, unit in _new(freed) if amount]
        sentences.append(f"{text}; setting one reserves {' and '.join(new)} anew." if new else f"{text}.")
    if freed.held_by_init:
        sentences.append(
            f"The pods of {counted(freed.held_by_init, 'workload')} reserve what an init container or the pod itself "
            "requests, so smaller requests of the other containers free less there."
        )
    if freed.without_replicas:
        is_one = freed.without_replicas == 1
        sentences.append(
            f"{counted(freed.without_replicas, 'workload')} {_are(freed.without_replicas)} not counted: "
            f"{'it does' if is_one else 'they do'} not run all the time, or {'its' if is_one else 'their'} replicas "
            "or requests are not known."
        )
    return " ".join(sentences)


def _freed_parts(freed: Savings) -> str:
    """The cores, the GiB and, where there are prices, the money of it."""
    text = f"{_part(freed.cores, freed.cores_now, 'cores')}, {_part(freed.memory_gib, freed.memory_gib_now, 'GiB')}"
    if freed.prices is None or freed.money_per_month is None:
        return text
    money = freed.money_per_month
    less = f"{money:,.2f} {freed.prices.currency} a month" + (" less" if money > 0 else "")
    return f"{text}: {f'{-money:,.2f} {freed.prices.currency} a month more' if money < 0 else less}"


def _new(freed: Savings) -> tuple[tuple[float, str], ...]:
    return (freed.new_cores, "cores"), (freed.new_memory_gib, "GiB")


def _part(amount: float, now: float, unit: str) -> str:
    if round(amount, 2) == 0:
        return f"keeps {_units(now, unit)}"
    share = f" ({abs(amount) / now:.0%})" if now else ""
    if amount > 0:
        return f"frees {_amount(amount)} of {_units(now, unit)}{share}"
    return f"adds {_units(-amount, unit)} to {_amount(now)}{share}"


def _units(value: float, unit: str) -> str:
    """An amount with its unit: 1 core, 2 cores, 1 GiB."""
    text = _amount(value)
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


def _amount(value: float) -> str:
    """Two decimals below 100, one above, without empty ones.

    >>> _amount(1.5), _amount(0.254), _amount(1234.56), _amount(8.0)
    ('1.5', '0.25', '1,234.6', '8')
    """
    text = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"
    return text.rstrip("0").rstrip(".")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
