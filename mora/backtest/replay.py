"""Asking one policy at every origin: what it would have recommended, and whether that kept its promise.

A policy is a plain function `history -> Allocation`. At every origin it sees what lies before and is judged on the hold
that follows, so any rule (MOrA's, KRR's, the VPA's) can be replayed beside any other on the same stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from mora.coverage import CPU_OVER_SHARE
from mora.domain import Allocation
from mora.features import Floats, epoch_seconds

if TYPE_CHECKING:
    import pandas as pd

    Policy = Callable[[pd.DataFrame], Allocation]


@dataclass(frozen=True, slots=True)
class HoldScore:
    """How an allocation fared over one hold.

    cpu_over, memory_over: share of the samples above the request. used and reserved: means, in cores and bytes; None
    without a request.
    """

    start_seconds: float
    cpu_over: float | None
    memory_over: float | None
    cpu_used_cores: float
    memory_used_bytes: float
    cpu_reserved_cores: float | None
    memory_reserved_bytes: float | None

    @property
    def has_cpu_kept(self) -> bool | None:
        """At most 10 % of the samples above the request; None without one."""
        return None if self.cpu_over is None else self.cpu_over <= CPU_OVER_SHARE + 1e-9

    @property
    def has_memory_kept(self) -> bool | None:
        """No sample above the request; None without one."""
        return None if self.memory_over is None else self.memory_over == 0.0


def score_hold(
    cpu_cores: Floats,
    memory_bytes: Floats,
    *,
    cpu_request_cores: float | None,
    memory_request_bytes: float | None,
    start_seconds: float = 0.0,
) -> HoldScore:
    """One hold's samples against what was reserved; gaps are not scored."""
    cpu, memory = cpu_cores[~np.isnan(cpu_cores)], memory_bytes[~np.isnan(memory_bytes)]
    return HoldScore(
        start_seconds=start_seconds,
        cpu_over=None if cpu_request_cores is None else float((cpu > cpu_request_cores).mean()),
        memory_over=None if memory_request_bytes is None else float((memory > memory_request_bytes).mean()),
        cpu_used_cores=float(cpu.mean()),
        memory_used_bytes=float(memory.mean()),
        cpu_reserved_cores=cpu_request_cores,
        memory_reserved_bytes=memory_request_bytes,
    )


def origins(
    seconds: Floats, *, horizon: timedelta, warm_up: timedelta, stride: timedelta | None = None
) -> Iterator[int]:
    """Rows at which a hold begins: the first after `warm_up`, then every `stride` (one hold), while a whole hold fits.

    Each is the index of the first row of the hold; the history is everything before it.

    >>> list(origins(np.arange(10.0), horizon=timedelta(seconds=3), warm_up=timedelta(seconds=2)))
    [2, 5]
    """
    step = (stride or horizon).total_seconds()
    end = seconds[-1] + (seconds[1] - seconds[0] if len(seconds) > 1 else 0.0)
    at = seconds[0] + warm_up.total_seconds()
    while at + horizon.total_seconds() <= end + 1e-6:
        yield int(np.searchsorted(seconds, at - 1e-6))
        at += step


def replay(history: pd.DataFrame, policy: Policy, *, horizon: timedelta, warm_up: timedelta) -> Sequence[HoldScore]:
    """Ask `policy` at every origin with the rows before it alone, and score what it says on the hold that follows.

    history: one service's rows in the order of time, with timestamp, cpu_cores_value and mem_bytes_value.
    """
    seconds = epoch_seconds(history)
    cpu = history["cpu_cores_value"].to_numpy(dtype=np.float64)
    memory = history["mem_bytes_value"].to_numpy(dtype=np.float64)
    scores = []
    for start in origins(seconds, horizon=horizon, warm_up=warm_up):
        stop = int(np.searchsorted(seconds, seconds[start] + horizon.total_seconds() - 1e-6))
        if np.isnan(cpu[start:stop]).all() or np.isnan(memory[start:stop]).all():
            continue
        main = policy(history.iloc[:start]).main
        millicores = main.resources.cpu_request_millicores if main else None
        scores.append(
            score_hold(
                cpu[start:stop],
                memory[start:stop],
                cpu_request_cores=None if millicores is None else millicores / 1000,
                memory_request_bytes=main.resources.memory_request_bytes if main else None,
                start_seconds=float(seconds[start]),
            )
        )
    return scores
