"""Problems for the solvers: made of services whose curves are those of a queue, and all choices tried one by one."""

from __future__ import annotations

import itertools
import random

from mora.optimize.packing import fits
from mora.optimize.problem import Choice, Limits, Option, keeps


def service(rng: random.Random, classes: int, *, sizes: int = 8, most_replicas: int = 2) -> list[Option]:
    """A service with some use and some latency at each size, as a processor-sharing queue has it."""
    use, own = rng.uniform(0.02, 0.6), rng.uniform(0.002, 0.02)
    weights = [rng.choice([0.0, 0.3, 1.0, 2.0]) for _ in range(classes)]
    memory = rng.randrange(32, 512) * 2**20
    found = []
    for replicas in range(1, most_replicas + 1):
        for number in range(sizes):
            millicores = round(1000 * use / replicas * (1.15 + number * number * 0.12)) + 10
            rho = use / (replicas * millicores / 1000)
            if rho < 0.95:
                delay = own / (millicores / 1000) / (1 - rho)
                delays = tuple(weight * delay for weight in weights)
                errors = tuple(weight * max(0.0, rho - 0.8) * 0.01 for weight in weights)
                cost = replicas * (millicores / 1000 + memory / 2**30 * 0.13)
                found.append(Option(replicas, millicores, memory, cost, delays, errors))
    return found


def problem(rng: random.Random, services: int, classes: int = 2, sizes: int = 8) -> tuple[list[list[Option]], Limits]:
    """Options and limits of which some choices keep all, and others do not."""
    options = [service(rng, classes, sizes=sizes) for _ in range(services)]
    fastest = [sum(min(option.delay_seconds[number] for option in own) for own in options) for number in range(classes)]
    slowest = [sum(max(option.delay_seconds[number] for option in own) for own in options) for number in range(classes)]
    budgets = tuple(low + rng.uniform(0.05, 0.5) * (high - low) for low, high in zip(fastest, slowest, strict=True))
    return options, Limits(budgets, (0.02,) * classes)


def cheapest_of_all(options: list[list[Option]], limits: Limits) -> tuple[float, Choice] | None:
    """The lowest cost of any choice that keeps the limits, nodes included; None where none does."""
    best: tuple[float, Choice] | None = None
    for choice in itertools.product(*(range(len(own)) for own in options)):
        chosen = [options[place][at] for place, at in enumerate(choice)]
        cost = sum(option.cost for option in chosen)
        if (best is None or cost < best[0]) and keeps(options, choice, limits) and fits(chosen, limits.nodes):
            best = cost, choice
    return best
