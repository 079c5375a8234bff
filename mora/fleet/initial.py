"""Init containers: more memory after an OOM kill, and where their requests keep a pod's reservation up.

Where one requests more than all that runs after it, smaller requests of those free nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from mora.domain import (
    Container,
    Demand,
    Reason,
    Recommendation,
    Target,
    TargetDemand,
    Workload,
    WorkloadHistory,
)
from mora.fleet.need import Need
from mora.quantities import readable_bytes, readable_cores
from mora.saturation import limit_bound

_AMOUNTS: tuple[tuple[str, str, Callable[[int], str]], ...] = (
    ("CPU", "cpu_request_millicores", lambda amount: readable_cores(amount / 1000)),
    ("memory", "memory_request_bytes", readable_bytes),
)


def with_init_remarks(advice: Recommendation) -> Recommendation:
    """The same advice, with a reason for each resource whose cut an init container's request keeps from freeing it."""
    return replace(advice, reasons=(*advice.reasons, *_remarks(advice)))


def _remarks(advice: Recommendation) -> Iterable[Reason]:
    for word, amount, write in _AMOUNTS:
        now, then = advice.current.running(amount), advice.target.running(amount)
        own = getattr(advice.target.pod, amount)
        if own is not None and then < now:
            text = (
                f"each pod reserves {write(own)} of {word}, which the pod itself requests (resources of its template's "
                "spec): request less there too, or the cut of its containers frees nothing"
            )
            yield Reason("pod-request-rules", text)
            continue
        reserved, container = advice.target.starting(amount)
        if container is None or then >= now or reserved <= then:
            continue
        text = (
            f"each pod reserves {write(reserved)} of {word} for its init container {container.name}, and its other "
            f"containers then request {write(then)} together: request less {word} for {container.name} too, or that "
            "part of the cut frees nothing"
        )
        yield Reason("init-request-rules", text)


def need_of_killed(workload: Workload, container: Container, history: WorkloadHistory, why: Reason) -> Need | None:
    """What an init container needs that ran out of memory; None where none was killed, or no figure is known.

    It lives too briefly for a history of its own, but its kill keeps the pod from starting. why: why its CPU is not
    sized.
    """
    seen = history.containers.get(container.name)
    if seen is None or not seen.oom_kills:
        return None
    now = container.resources
    limit = seen.oom_limit_bytes or now.memory_limit_bytes
    level = max(float(np.fmax.reduce(seen.mem_bytes, initial=0.0)), float(limit or now.memory_request_bytes or 0))
    if not level:
        return None
    bounded = limit_bound(
        Target.MEMORY, seen.mem_bytes, step=history.window.step, oom_kills=seen.oom_kills, oom_limit_bytes=level
    )
    memory = TargetDemand(
        level,
        level,
        level,
        confidence=0.0,
        windows=0,
        is_limit_bound=True,
        reasons=() if bounded is None else (bounded.reason,),
        takes_buffer=False,
        bound_label="limit that it was killed at",
    )
    demand = Demand(workload, None, history.window.end, None, memory, None)
    return Need(replace(demand, oom_kills=seen.oom_kills, oom_peak_bytes=level), {Target.CPU: why})
