"""What it means that a recommendation covers a window: the criterion that confidence counts.

CPU is covered where at most a tenth of the window's samples lie above the request, memory where none does, and
replicas where the SLO is met. Training, bounds, advice and backtest all count by this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.domain import Slo

Floats = NDArray[np.float64]

# The most of a window's samples that may lie above the request.
CPU_OVER_SHARE, MEMORY_OVER_SHARE = 0.10, 0.0


def needed_cpu_cores(samples: Floats) -> float:
    """The smallest CPU request that covers these samples, in cores. samples: at least one known; NaN where missing.

    >>> needed_cpu_cores(np.array([1.0] * 9 + [5.0])), needed_cpu_cores(np.array([1.0] * 8 + [5.0] * 2))
    (1.0, 5.0)
    """
    known = np.sort(samples[~np.isnan(samples)])
    # The epsilon cuts float noise: a tenth of ten samples is one sample.
    return float(known[len(known) - 1 - int(CPU_OVER_SHARE * len(known) + 1e-9)])


def needed_memory_bytes(samples: Floats) -> float:
    """The smallest memory request that covers these samples: their peak, in bytes."""
    return float(np.nanmax(samples))


def keeps(latency_p95_seconds: float | None, error_ratio: float | None, slo: Slo) -> bool:
    """Whether a load test met the SLO; false where its latency or its errors are not known.

    >>> keeps(0.2, 0.0, Slo(0.3, 0.01)), keeps(0.4, 0.0, Slo(0.3, 0.01)), keeps(None, 0.0, Slo(0.3, 0.01))
    (True, False, False)
    """
    if latency_p95_seconds is None or error_ratio is None:
        return False
    return latency_p95_seconds <= slo.p95_seconds and error_ratio <= slo.error_ratio
