"""An always-valid test of which of two is better, looked at as often as one likes.

A usual test may be looked at once: who looks every hour and stops at the first good moment is fooled most of the time.
An e-process may be looked at all the time (Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric,
nonasymptotic confidence sequences"; Choe & Ramdas 2024, "Comparing sequential forecasters"). It starts at 1, and as
long as the one is not better than the other on average, the chance that it ever reaches 1/alpha is at most alpha,
whatever the differences depend on.

For differences d of at least -1 and any bet b in [0, 1), exp(b d + (b + log(1 - b)) d^2) <= 1 + b d (Fan, Grama & Liu
2015). So exp(b sum(d) - psi(b) sum(d^2)), with psi(b) = -log(1 - b) - b, is such a process: its expectation never grows
as long as the mean of the conditional expectations of d is not above 0. Which bet is best is not known before, so the
evidence is the mean over many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# From a difference that is seen after some thousand windows to one that is seen after five.
_BETS: NDArray[np.float64] = np.geomspace(0.01, 0.9, 30)
_PSI: NDArray[np.float64] = -np.log1p(-_BETS) - _BETS


def evidence(differences: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """How strongly differences say that their mean is above 0, after each of them; shape (n + 1,), from 1 on.

    differences: in the order in which they came to be known, each in [-1, 1]. ValueError for others.

    >>> evidence([0.5] * 20).round(1)[[0, 10, 20]].tolist()
    [1.0, 2.8, 14.2]
    >>> bool(evidence([-0.5] * 20)[-1] < 1)
    True
    """
    found = np.asarray(differences, dtype=np.float64)
    if not bool((np.abs(found) <= 1.0).all()):
        raise ValueError("A difference is not between -1 and 1.")
    sums = np.concatenate([[0.0], np.cumsum(found)])
    squares = np.concatenate([[0.0], np.cumsum(found**2)])
    exponents = _BETS * sums[:, None] - _PSI * squares[:, None]
    top = exponents.max(axis=1, keepdims=True)
    # No evidence is larger than a float: what is decided is decided long before.
    total: NDArray[np.float64] = np.exp(np.minimum(top[:, 0], 600.0)) * np.exp(exponents - top).mean(axis=1)
    return total


def is_reached(differences: Sequence[float] | NDArray[np.float64], needed: float) -> bool:
    """Whether the evidence was ever so high; it may be lower by now."""
    return bool((evidence(differences) >= needed).any())
