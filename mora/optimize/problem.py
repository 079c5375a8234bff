"""The problem in plain numbers: what each service may be set to, what that costs, and what all together must keep.

Every number of a service is an `Option`. A class is a kind of users with their own SLO (a scenario). An option adds to
the p95 of each class; what services add is summed, except for services that a class waits for at the same time: of
those the slowest counts. Nothing in here knows how the numbers were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NoChoice(Exception):
    """No choice keeps the limits."""


class OutOfTime(Exception):
    """The exact solver did not end in its time: what is cheapest, or whether there is a choice, is not known."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a service.

    millicores, memory_bytes: what each pod reserves. delay_seconds, error_ratio: what it adds to each class, in their
    order; upper bounds, at least 0. cost: of all its pods, in any one unit.
    """

    replicas: int
    millicores: int
    memory_bytes: int
    cost: float
    delay_seconds: tuple[float, ...]
    error_ratio: tuple[float, ...]

    @property
    def total_millicores(self) -> int:
        """What all of its pods reserve."""
        return self.replicas * self.millicores

    @property
    def total_bytes(self) -> int:
        """What all of its pods reserve."""
        return self.replicas * self.memory_bytes


@dataclass(frozen=True, slots=True)
class Node:
    """What one node has left for these services, as requests."""

    millicores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What all choices together must keep.

    delay_seconds, error_ratio: what services may add to each class, in their order (SLO x (1 - margin), less what the
    class takes when nothing is squeezed); a negative one cannot be kept. together: for each class the groups of
    services (by their place) that it waits for at the same time. millicores, memory_bytes, pods: the cap of the
    cluster or a quota; None where there is none. nodes: where the pods must fit; empty where not known.
    """

    delay_seconds: tuple[float, ...]
    error_ratio: tuple[float, ...]
    together: tuple[tuple[frozenset[int], ...], ...] = ()
    millicores: int | None = None
    memory_bytes: int | None = None
    pods: int | None = None
    nodes: tuple[Node, ...] = ()

    def groups(self, number: int) -> tuple[frozenset[int], ...]:
        """The groups of one class."""
        return self.together[number] if self.together else ()


Options = Sequence[Sequence[Option]]
"""For each service what it may be set to."""
Choice = tuple[int, ...]
"""For each service the place of the option that was chosen."""


def added(options: Options, choice: Choice, limits: Limits, number: int) -> float:
    """What a choice adds to the p95 of a class: the sum, of services that are waited for together the slowest.

    >>> one, two = (Option(1, 100, 0, 1.0, (0.1,), (0.0,)),), (Option(1, 100, 0, 1.0, (0.3,), (0.0,)),)
    >>> added([one, two], (0, 0), Limits((1.0,), (1.0,)), 0)
    0.4
    >>> added([one, two], (0, 0), Limits((1.0,), (1.0,), ((frozenset({0, 1}),),)), 0)
    0.3
    """
    delays = [options[service][place].delay_seconds[number] for service, place in enumerate(choice)]
    grouped = limits.groups(number)
    alone = set(range(len(choice))).difference(*grouped)
    return sum(delays[service] for service in alone) + sum(
        max(delays[service] for service in group) for group in grouped
    )


def keeps(options: Options, choice: Choice, limits: Limits) -> bool:
    """Whether a choice keeps every limit but the nodes (packing.py)."""
    chosen = [options[service][place] for service, place in enumerate(choice)]
    tolerance = 1e-9
    return (
        all(
            added(options, choice, limits, number) <= most + tolerance
            for number, most in enumerate(limits.delay_seconds)
        )
        and all(
            sum(option.error_ratio[number] for option in chosen) <= most + tolerance
            for number, most in enumerate(limits.error_ratio)
        )
        and (limits.millicores is None or sum(option.total_millicores for option in chosen) <= limits.millicores)
        and (limits.memory_bytes is None or sum(option.total_bytes for option in chosen) <= limits.memory_bytes)
        and (limits.pods is None or sum(option.replicas for option in chosen) <= limits.pods)
    )


def undominated(options: Sequence[Option], *, sizes_matter: bool = True) -> list[Option]:
    """The options that no other beats or equals in cost, pods, reservations, delays and errors, cheapest first.

    sizes_matter: pods have to fit on nodes, and smaller ones fit into gaps that larger ones do not.
    """
    kept: list[Option] = []
    for option in sorted(options, key=lambda one: (one.cost, one.total_millicores, one.total_bytes, one.replicas)):
        if not any(_is_as_good(other, option, sizes_matter) for other in kept):
            kept.append(option)
    return kept


def _is_as_good(one: Option, other: Option, sizes_matter: bool) -> bool:
    return (
        one.cost <= other.cost
        and one.replicas <= other.replicas
        and one.total_millicores <= other.total_millicores
        and one.total_bytes <= other.total_bytes
        and (not sizes_matter or (one.millicores <= other.millicores and one.memory_bytes <= other.memory_bytes))
        and all(mine <= theirs for mine, theirs in zip(one.delay_seconds, other.delay_seconds, strict=True))
        and all(mine <= theirs for mine, theirs in zip(one.error_ratio, other.error_ratio, strict=True))
    )
