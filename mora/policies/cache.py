"""Page cache is no need: the kernel gives it back before it kills anything, and it fills whatever limit it is given.

A database that reads more than its memory has a working set of the size of its limit, whatever that is. Raised for
that, it fills the new limit, too, and is raised for ever. So memory is raised for what cannot be given back alone. It
is not cut for it either: how much of its cache a service needs to be quick, no metric of memory tells.
"""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Demand, Reason
from mora.policies.need import memory_need
from mora.policies.settings import PolicySettings, Surroundings


def less_cache(
    demand: Demand, now: int | None, settings: PolicySettings, around: Surroundings
) -> tuple[Demand, Surroundings]:
    """The demand without page cache where the working set alone would raise memory, and memory that is not cut then.

    now: bytes requested. After an OOM kill everything counts, since the kernel found nothing to give back.
    """
    known = demand.memory_less_cache
    if known is None or demand.memory is None or demand.oom_kills:
        return demand, around
    if now is not None and (memory_need(demand, settings).amount or 0.0) <= now:
        return demand, around
    why = next((reason for reason in known.reasons if reason.code == "page-cache"), None)
    kept = Reason("page-cache", "" if why is None else why.text)
    # The first minutes of pods are in the peak of what is known without cache.
    needed = replace(demand, memory=known, startup_memory_bytes=None)
    return needed, replace(around, no_memory_cut=around.no_memory_cut or kept)
