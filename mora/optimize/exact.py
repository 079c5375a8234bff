"""The cheapest choice, exactly: a mixed integer linear program, solved by HiGHS through scipy.

One binary variable for each option of each service, and one more for each group of services that a class waits for at
the same time: it is at least what each of them adds, and stands for the group in the class's sum.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mora.extras import require
from mora.optimize.problem import Choice, Limits, NoChoice, Option, Options, OutOfTime

_MOST_SECONDS = 20.0
_LIMIT_REACHED = 1  # the status of scipy.optimize.milp; a choice may come with it, and need not be the cheapest
# Latency budgets in seconds are as small as 0.01: HiGHS's absolute tolerance (1e-6) is then a share of 1e-4 of them.
_MILLISECONDS = 1000.0


def cheapest(
    options: Options, limits: Limits, *, excluded: Sequence[Choice] = (), seconds: float = _MOST_SECONDS
) -> Choice:
    """The choice of the lowest cost that keeps the limits, nodes aside. Raises NoChoice where there is none.

    OutOfTime where that is not proven within so many seconds.

    excluded: choices that do not fit on the nodes. One that is as large or larger in every service does not either
    (up to the quirks of first-fit decreasing), and is left out with it.
    """
    require("optimize", by="mora optimize")
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    if any(not own for own in options) or min(limits.delay_seconds, default=0.0) < 0:
        raise NoChoice
    starts = np.cumsum([0, *(len(own) for own in options)])
    flat = [option for own in options for option in own]
    groups = [(number, group) for number in range(len(limits.delay_seconds)) for group in limits.groups(number)]
    width = len(flat) + len(groups)
    rows: list[tuple[dict[int, float], float, float]] = []

    for service in range(len(options)):
        rows.append((dict.fromkeys(range(starts[service], starts[service + 1]), 1.0), 1.0, 1.0))
    for number, most in enumerate(limits.delay_seconds):
        row: dict[int, float] = {}
        grouped = frozenset().union(*limits.groups(number))
        for service in range(len(options)):
            if service not in grouped:
                row |= _weights(options, starts, service, number)
        row |= {len(flat) + place: 1.0 for place, (own, _) in enumerate(groups) if own == number}
        rows.append((row, -np.inf, most * _MILLISECONDS))
    for place, (number, group) in enumerate(groups):
        for service in sorted(group):
            rows.append(({**_weights(options, starts, service, number), len(flat) + place: -1.0}, -np.inf, 0.0))
    for number, most in enumerate(limits.error_ratio):
        rows.append(
            ({i: one.error_ratio[number] * _MILLISECONDS for i, one in enumerate(flat)}, -np.inf, most * _MILLISECONDS)
        )
    for most_of, amount in (
        (limits.millicores, "total_millicores"),
        (limits.memory_bytes, "total_bytes"),
        (limits.pods, "replicas"),
    ):
        if most_of is not None:
            scale = max(most_of, 1)
            rows.append(({i: getattr(one, amount) / scale for i, one in enumerate(flat)}, -np.inf, most_of / scale))
    for choice in excluded:
        as_large = {
            int(starts[service]) + other: 1.0
            for service, place in enumerate(choice)
            for other, option in enumerate(options[service])
            if _is_as_large(option, options[service][place])
        }
        rows.append((as_large, -np.inf, len(options) - 1.0))

    entries = [(number, column, value) for number, (row, _, _) in enumerate(rows) for column, value in row.items()]
    matrix: Any = csr_array(
        ([e[2] for e in entries], ([e[0] for e in entries], [e[1] for e in entries])), shape=(len(rows), width)
    )
    with _silent():
        answer = milp(
            np.array([option.cost for option in flat] + [0.0] * len(groups)),
            constraints=LinearConstraint(matrix, [row[1] for row in rows], [row[2] for row in rows]),
            integrality=np.array([1] * len(flat) + [0] * len(groups)),
            bounds=Bounds(0, np.array([1.0] * len(flat) + [np.inf] * len(groups))),
            options={"time_limit": seconds, "mip_rel_gap": 1e-4},
        )
    if answer.status == _LIMIT_REACHED:
        raise OutOfTime
    if answer.x is None:
        raise NoChoice
    return tuple(int(np.argmax(answer.x[starts[service] : starts[service + 1]])) for service in range(len(options)))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """HiGHS prints a line of its own now and then, past Python: stdout belongs to the results."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _weights(options: Options, starts: Any, service: int, number: int) -> dict[int, float]:
    first = int(starts[service])
    return {
        first + place: option.delay_seconds[number] * _MILLISECONDS for place, option in enumerate(options[service])
    }


def _is_as_large(one: Option, other: Option) -> bool:
    return (
        one.replicas >= other.replicas and one.millicores >= other.millicores and one.memory_bytes >= other.memory_bytes
    )
