"""A cheap choice for many services: the best trade first, then exchanges between pairs of services.

It starts where nothing is squeezed and takes, again and again, the step that saves most cost for the share of the
tightest budget that it uses. Where no step is left, one service may give latency back (a dearer option) if another can
then save more. On problems that can be solved exactly it is a fraction of a per cent off
(experiments/benchmarks/optimize_solver.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.optimize.problem import Choice, Limits, NoChoice, Options, keeps

_MOST_EXCHANGES = 200
# How many of the best givers and takers of an exchange are looked at.
_CANDIDATES = 120
_TINY = 1e-12


def cheap(options: Options, limits: Limits) -> Choice:
    """A choice that keeps the limits, nodes aside, at a cost that no step or exchange lowers. Raises NoChoice."""
    if any(not own for own in options) or min(limits.delay_seconds, default=0.0) < 0:
        raise NoChoice
    return _Search(options, limits).run()


class _Search:
    """The state of one search: where every service stands, and what is left of every budget."""

    def __init__(self, options: Options, limits: Limits) -> None:
        self._options, self._limits = options, limits
        flat = [(service, place) for service, own in enumerate(options) for place in range(len(own))]
        self._service = np.array([service for service, _ in flat])
        self._place = np.array([place for _, place in flat])
        chosen = [options[service][place] for service, place in flat]
        self._cost = np.array([one.cost for one in chosen])
        # What an option takes of each budget: latency of every class, errors of every class.
        self._use = np.array([[*one.delay_seconds, *one.error_ratio] for one in chosen], dtype=float)
        self._budget = np.array([*limits.delay_seconds, *limits.error_ratio], dtype=float)
        starts = np.cumsum([0, *(len(own) for own in options)])[:-1]
        slack = np.maximum(self._budget, _TINY)
        hurt = (self._use / slack).max(axis=1) if self._use.size else np.zeros(len(flat))
        # The least harmful option of each service; of equals the cheapest.
        self._at = np.array(
            [
                first + min(range(len(own)), key=lambda place: (hurt[first + place], own[place].cost))
                for first, own in zip(starts, options, strict=True)
            ]
        )

    def run(self) -> Choice:
        self._descend()
        for _ in range(_MOST_EXCHANGES):
            if not self._exchange():
                break
            self._descend()
        choice = tuple(int(self._place[at]) for at in self._at)
        if not keeps(self._options, choice, self._limits):
            raise NoChoice
        return choice

    def _left(self) -> NDArray[np.float64]:
        """What is left of each budget, with groups counted as sums: never more than what truly is."""
        return self._budget - self._used()

    def _used(self) -> NDArray[np.float64]:
        used = self._use[self._at].sum(axis=0)
        for number in range(len(self._limits.delay_seconds)):
            for group in self._limits.groups(number):
                own = [self._use[self._at[service], number] for service in group]
                used[number] -= sum(own) - max(own)
        return np.asarray(used, dtype=np.float64)

    def _more(self) -> NDArray[np.float64]:
        """What going to each option would take more of each budget."""
        more = self._use - self._use[self._at[self._service]]
        for number in range(len(self._limits.delay_seconds)):
            for group in self._limits.groups(number):
                for service in group:
                    others = max((self._use[self._at[other], number] for other in group if other != service), default=0)
                    rows = self._service == service
                    now = max(others, self._use[self._at[service], number])
                    more[rows, number] = np.maximum(others, self._use[rows, number]) - now
        return np.asarray(more, dtype=np.float64)

    def _descend(self) -> None:
        """Take the best trade until there is none."""
        while True:
            left, more = self._left(), self._more()
            saved = self._cost[self._at[self._service]] - self._cost
            possible = (saved > _TINY) & (more <= np.maximum(left, 0.0) + _TINY).all(axis=1)
            if not possible.any():
                return
            share = (np.maximum(more, 0.0) / np.maximum(left, _TINY)).max(axis=1) if more.size else np.zeros(len(saved))
            worth = np.where(possible, saved / np.maximum(share, 1e-6), -np.inf)
            best = int(np.argmax(worth))
            self._at[self._service[best]] = best

    def _exchange(self) -> bool:
        """Let one service give latency back and another save more than that costs; whether a pair was found."""
        left, more = self._left(), self._more()
        saved = self._cost[self._at[self._service]] - self._cost
        gains = np.flatnonzero(saved > _TINY)
        gives = np.flatnonzero((saved < -_TINY) & (more < -_TINY).any(axis=1))
        gains = gains[np.argsort(-saved[gains])][:_CANDIDATES]
        gives = gives[np.argsort(-saved[gives])][:_CANDIDATES]
        if not len(gains) or not len(gives):
            return False
        net = saved[gains][:, None] + saved[gives][None, :]
        both = (more[gains][:, None, :] + more[gives][None, :, :] <= np.maximum(left, 0.0) + _TINY).all(axis=2)
        apart = self._service[gains][:, None] != self._service[gives][None, :]
        net = np.where(both & apart, net, -np.inf)
        for flat in np.argsort(-net, axis=None)[:10]:
            row, column = np.unravel_index(flat, net.shape)
            if net[row, column] <= 1e-9:
                return False
            before = self._at.copy()
            for place in (gains[row], gives[column]):
                self._at[self._service[place]] = place
            # Two members of one group do not add up: asked again of the whole.
            if (self._used() <= self._budget + 1e-9).all():
                return True
            self._at = before
        return False
