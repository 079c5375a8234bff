"""From what was learnt to an answer: options of every service at a load, the cheapest choice, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mora.domain import Slo
from mora.errors import BadInput
from mora.optimize.attribution import Curve, ServiceCurves
from mora.optimize.exact import cheapest
from mora.optimize.greedy import cheap
from mora.optimize.packing import fits
from mora.optimize.problem import Choice, Limits, NoChoice, Node, Option, OutOfTime, added, undominated
from mora.savings import Prices

# Beyond this many services the exact solution may take more than a second.
MOST_EXACT = 20
_GRID_FACTOR = 1.04
_MORE_REPLICAS = 3
_MOST_PACKINGS = 40
# Shares of a load that cannot be served whole are searched to half a per cent.
_SHARE_STEPS = 8


@dataclass(frozen=True, slots=True)
class LoadClass:
    """Users of one scenario, with their SLO. Classes are given in the order of their priority, the highest first.

    is_rate: the number is of requests per second, which arrive however late the answers are, and not of users.
    """

    scenario: str
    users: int
    slo: Slo
    is_rate: bool = False

    def words(self, count: int | None = None) -> str:
        """The load for people.

        >>> LoadClass("checkout", 60, Slo()).words(), LoadClass("checkout", 60, Slo(), is_rate=True).words(12)
        ('60 users of checkout', '12 requests/s of checkout')
        """
        number = self.users if count is None else count
        return f"{number} {'requests/s' if self.is_rate else 'users'} of {self.scenario}"


@dataclass(frozen=True, slots=True)
class Learned:
    """What the experiments of one shop showed.

    baseline_p95, baseline_errors: by scenario, with every service ample. together: scenario -> groups of services that
    it waits for at the same time. correction: scenario -> factor on what services add, from a confirmation.
    """

    users: Mapping[str, int]
    baseline_p95: Mapping[str, float]
    baseline_errors: Mapping[str, float]
    services: tuple[ServiceCurves, ...]
    together: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    correction: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an answer must keep beside the SLOs.

    margin: share of each SLO that is kept free. most_utilisation: of what pods reserve. millicores, memory_bytes, pods:
    the cap (of the cluster, of a quota); None where there is none. nodes: where pods must fit; empty where not known.
    least_pod_millicores: the smallest pod; the VPA's default. most_pod_millicores: the largest; a process with one
    thread uses no more than a core. cap_name: for messages.
    """

    margin: float = 0.1
    most_utilisation: float = 0.9
    min_replicas: int = 1
    millicores: int | None = None
    memory_bytes: int | None = None
    pods: int | None = None
    nodes: tuple[Node, ...] = ()
    least_pod_millicores: int = 25
    most_pod_millicores: int = 1000
    memory_buffer: float = 1.15
    prices: Prices = field(default_factory=Prices)
    cap_name: str = "the cluster's cap"


@dataclass(frozen=True, slots=True)
class Chosen:
    """One service as it should run. delay_seconds: what it is expected to add to each class; utilisation: of its pods.

    next_saved: milliseconds that the next core saved here would add to the class it hurts most; None where nothing
    less is possible.
    """

    service: str
    option: Option
    utilisation: float
    delay_seconds: tuple[float, ...]
    next_saved: float | None = None


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer. shares: of each class's users that are served. p95_seconds: predicted, per class."""

    classes: tuple[LoadClass, ...]
    shares: tuple[float, ...]
    chosen: tuple[Chosen, ...]
    p95_seconds: tuple[float, ...]
    cost: float
    is_exact: bool

    @property
    def millicores(self) -> int:
        """What all pods reserve."""
        return sum(one.option.total_millicores for one in self.chosen)

    @property
    def memory_bytes(self) -> int:
        """What all pods reserve."""
        return sum(one.option.total_bytes for one in self.chosen)

    @property
    def is_whole(self) -> bool:
        """Whether every class is served in full."""
        return all(share >= 1.0 for share in self.shares)


def check_baseline(learned: Learned, classes: Sequence[LoadClass]) -> None:
    """Raise BadInput where a class misses its SLO even if nothing is squeezed: no allocation can keep it."""
    for one in classes:
        base = learned.baseline_p95[one.scenario]
        if base >= one.slo.p95_seconds:
            raise BadInput(
                f"{one.scenario} has a p95 of {base * 1000:.0f} ms with ample resources for every service, over its "
                f"SLO of {one.slo.p95_seconds * 1000:.0f} ms.",
                hint="No requests, limits or replicas can keep that. Ask for a p95 of at least "
                f"{math.ceil(base * 1200):.0f} ms (--slo-p95), or make the code faster.",
            )
        if learned.baseline_errors[one.scenario] > one.slo.error_ratio:
            raise BadInput(
                f"{learned.baseline_errors[one.scenario]:.1%} of the requests of {one.scenario} fail with ample "
                f"resources for every service; its SLO allows {one.slo.error_ratio:.1%}.",
                hint="Look at the errors of the service first; resources do not cure them.",
            )


def solve(learned: Learned, classes: Sequence[LoadClass], terms: Terms) -> Solution:
    """The cheapest allocation that serves all classes within their SLOs, or as much as there is room for.

    Where the terms leave no room for all, the first class gets its largest share that can be served, then the second
    what is left for it, and so on. Raises NoChoice where not even one user of the first class can be served.
    """
    classes = tuple(classes)
    whole = _attempt(learned, classes, (1.0,) * len(classes), terms)
    if whole is not None:
        return whole
    shares: list[float] = []
    for number in range(len(classes)):
        rest = (0.0,) * (len(classes) - number - 1)
        shares.append(_largest_share(learned, classes, tuple(shares), rest, terms))
    best = _attempt(learned, classes, tuple(shares), terms)
    if best is None or not any(shares):
        raise NoChoice
    return best


def _largest_share(
    learned: Learned, classes: tuple[LoadClass, ...], before: tuple[float, ...], rest: tuple[float, ...], terms: Terms
) -> float:
    """The largest share of the next class that can be served beside those before it, in whole users."""
    if _attempt(learned, classes, (*before, 1.0, *rest), terms) is not None:
        return 1.0
    users = classes[len(before)].users
    low, high = 0, users
    for _ in range(_SHARE_STEPS + users.bit_length()):
        middle = (low + high) // 2
        if middle == low:
            break
        if _attempt(learned, classes, (*before, middle / users, *rest), terms) is not None:
            low = middle
        else:
            high = middle
    return low / users


def _attempt(
    learned: Learned, classes: tuple[LoadClass, ...], shares: tuple[float, ...], terms: Terms
) -> Solution | None:
    """The cheapest allocation for these shares; None where there is none."""
    users = {one.scenario: one.users * share for one, share in zip(classes, shares, strict=True)}
    served = [share > 0 for share in shares]
    options = [options_of(curves, learned, classes, users, terms) for curves in learned.services]
    if any(not own for own in options):
        return None
    places = {curves.service: place for place, curves in enumerate(learned.services)}
    limits = Limits(
        delay_seconds=tuple(
            one.slo.p95_seconds * (1 - terms.margin) - learned.baseline_p95[one.scenario] if is_served else math.inf
            for one, is_served in zip(classes, served, strict=True)
        ),
        error_ratio=tuple(
            one.slo.error_ratio * (1 - terms.margin) - learned.baseline_errors[one.scenario] if is_served else math.inf
            for one, is_served in zip(classes, served, strict=True)
        ),
        together=tuple(
            tuple(frozenset(places[name] for name in group) for group in learned.together.get(one.scenario, ()))
            for one in classes
        ),
        millicores=terms.millicores,
        memory_bytes=terms.memory_bytes,
        pods=terms.pods,
        nodes=terms.nodes,
    )
    limits = replace(
        limits,
        delay_seconds=tuple(min(most, 1e6) for most in limits.delay_seconds),
        error_ratio=tuple(min(max(most, 0.0), 1e6) for most in limits.error_ratio),
    )
    try:
        choice, is_exact = choose(options, limits)
    except NoChoice:
        return None
    return _described(learned, classes, shares, users, options, choice, limits, is_exact=is_exact)


def choose(options: Sequence[Sequence[Option]], limits: Limits) -> tuple[Choice, bool]:
    """The cheapest choice that keeps the limits and fits on the nodes, and whether it was found exactly."""
    is_exact = len(options) <= MOST_EXACT
    excluded: list[Choice] = []
    for _ in range(_MOST_PACKINGS):
        left = [list(own) for own in options]
        if is_exact:
            try:
                choice = cheapest(options, limits, excluded=excluded)
            except OutOfTime:
                is_exact = False
        if not is_exact:
            # The greedy search knows no cuts: what did not fit last is made smaller by leaving out its largest pod.
            left = _without(options, excluded)
            choice = _back(options, left, cheap(left, limits))
        if fits([options[service][place] for service, place in enumerate(choice)], limits.nodes):
            return choice, is_exact
        excluded.append(choice)
    raise NoChoice


def _without(options: Sequence[Sequence[Option]], excluded: Sequence[Choice]) -> list[list[Option]]:
    left = [list(own) for own in options]
    for choice in excluded:
        largest = max(range(len(choice)), key=lambda service: options[service][choice[service]].millicores)
        limit = options[largest][choice[largest]].millicores
        left[largest] = [option for option in left[largest] if option.millicores < limit]
    return left


def _back(options: Sequence[Sequence[Option]], left: Sequence[Sequence[Option]], choice: Choice) -> Choice:
    return tuple(list(options[service]).index(left[service][place]) for service, place in enumerate(choice))


def options_of(
    curves: ServiceCurves, learned: Learned, classes: Sequence[LoadClass], users: Mapping[str, float], terms: Terms
) -> list[Option]:
    """What a service may be set to at a load, without what is dominated; empty where nothing carries the load."""
    least = max(terms.min_replicas, curves.replicas)
    memory = math.ceil(curves.memory_bytes * terms.memory_buffer)
    found: list[Option] = []
    for replicas in range(least, least + _MORE_REPLICAS + 1):
        used = curves.cores(users, replicas)
        for millicores in _grid(terms.least_pod_millicores, terms.most_pod_millicores):
            cores = millicores / 1000
            utilisation = used / (replicas * cores)
            if utilisation > terms.most_utilisation:
                continue
            delays = _bounds(curves, learned, classes, users, utilisation, cores)
            errors = [
                0.0 if not users[one.scenario] else curves.errors[one.scenario].at(utilisation) for one in classes
            ]
            known_errors = [value for value in errors if value is not None]
            if delays is None or len(known_errors) < len(errors):
                continue
            cost = replicas * (
                cores * terms.prices.cpu_per_core_hour + memory / 2**30 * terms.prices.memory_per_gib_hour
            )
            found.append(Option(replicas, millicores, memory, cost, tuple(delays), tuple(known_errors)))
            if not any(delays) and not any(known_errors):
                break  # a larger pod adds nothing less
    return undominated(found, sizes_matter=bool(terms.nodes))


def _delays(
    curves: Mapping[str, Curve],
    learned: Learned,
    classes: Sequence[LoadClass],
    users: Mapping[str, float],
    utilisation: float,
    cores: float,
) -> list[float] | None:
    """What each class waits longer; None where a class has users and the utilisation was never measured."""
    delays: list[float] = []
    for one in classes:
        level = curves[one.scenario].at(utilisation) if users[one.scenario] else 0.0
        if level is None:
            return None
        delays.append(level / cores * learned.correction.get(one.scenario, 1.0))
    return delays


def _bounds(
    curves: ServiceCurves,
    learned: Learned,
    classes: Sequence[LoadClass],
    users: Mapping[str, float],
    utilisation: float,
    cores: float,
) -> list[float] | None:
    """What each class waits longer at most: the estimate, and a part of the way to its upper bound.

    The errors of n services are independent, so of their sum the bound is as wide as the root of the sum of squares:
    each takes 1 / sqrt(n) of its own.
    """
    means = _delays(curves.delay, learned, classes, users, utilisation, cores)
    uppers = _delays(curves.delay_upper, learned, classes, users, utilisation, cores)
    if means is None or uppers is None:
        return None
    part = 1 / math.sqrt(max(len(learned.services), 1))
    return [mean + part * (upper - mean) for mean, upper in zip(means, uppers, strict=True)]


def _grid(least_millicores: int, most_millicores: int) -> list[int]:
    """Sizes of a pod in steps of about 4 %, in round millicores."""
    sizes: list[int] = []
    size = float(least_millicores)
    while size < most_millicores:
        unit = 1 if size < 125 else 5
        rounded = math.ceil(size / unit) * unit
        if not sizes or rounded > sizes[-1]:
            sizes.append(rounded)
        size *= _GRID_FACTOR
    return [*[one for one in sizes if one < most_millicores], most_millicores]


def _described(
    learned: Learned,
    classes: tuple[LoadClass, ...],
    shares: tuple[float, ...],
    users: Mapping[str, float],
    options: Sequence[Sequence[Option]],
    choice: Choice,
    limits: Limits,
    *,
    is_exact: bool,
) -> Solution:
    chosen: list[Chosen] = []
    for service, curves in enumerate(learned.services):
        option = options[service][choice[service]]
        cores = option.millicores / 1000
        utilisation = curves.cores(users, option.replicas) / (option.replicas * cores)
        delays = _delays(curves.delay, learned, classes, users, utilisation, cores)
        expected = tuple(delays) if delays is not None else option.delay_seconds
        chosen.append(Chosen(curves.service, option, utilisation, expected, _next_saved(options[service], option)))
    expected_options = [[replace(one.option, delay_seconds=one.delay_seconds)] for one in chosen]
    p95 = tuple(
        learned.baseline_p95[one.scenario] + added(expected_options, (0,) * len(chosen), limits, number)
        for number, one in enumerate(classes)
    )
    cost = sum(one.option.cost for one in chosen)
    return Solution(classes, shares, tuple(chosen), p95, cost, is_exact)


def _next_saved(options: Sequence[Option], option: Option) -> float | None:
    """Milliseconds for each core that the next smaller option would save; None where there is none."""
    smaller = [one for one in options if one.total_millicores < option.total_millicores]
    if not smaller:
        return None
    following = max(smaller, key=lambda one: one.total_millicores)
    saved = (option.total_millicores - following.total_millicores) / 1000
    hurt = max(after - before for after, before in zip(following.delay_seconds, option.delay_seconds, strict=True))
    return max(0.0, hurt) * 1000 / saved
