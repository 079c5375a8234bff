"""Pods of one workload that need very different amounts: all get what the largest needs, so a reason says so."""

from __future__ import annotations

from collections.abc import Iterator

from mora.domain import ContainerHistory, PodSpread, Reason, Target
from mora.quantities import MIB, readable_bytes, readable_cores

# The largest pod needs at least so many times what the median one does.
_UNEVEN_TIMES = 2.0
# What is left over by all pods together is worth a word from so much on.
_SPARE = {Target.CPU: 0.25, Target.MEMORY: 256.0 * MIB}


def uneven(history: ContainerHistory) -> Iterator[Reason]:
    """That the pods which run now need very different amounts: the largest, the median, and what the others waste."""
    parts = [
        _words(target, one)
        for target, one in history.spread.items()
        if one.largest >= _UNEVEN_TIMES * one.median and one.spare >= _SPARE[target]
    ]
    if parts:
        text = (
            f"the pods of {history.container} are uneven: {'; '.join(parts)}. One template gives every pod what the "
            "largest needs: balance the load, or run the largest as a workload of its own"
        )
        yield Reason("pods-uneven", text)


def _words(target: Target, one: PodSpread) -> str:
    is_cpu = target is Target.CPU
    largest, median, spare = (
        readable_cores(amount) if is_cpu else readable_bytes(amount) for amount in (one.largest, one.median, one.spare)
    )
    what, others = "CPU (p95)" if is_cpu else "memory (peak)", one.pods - 1
    rest = "the other pod leaves" if others == 1 else f"the {others} others leave"
    return f"{what} {largest} on {one.largest_pod}, {median} on the median pod, so {rest} {spare} unused"
