"""What of a container's memory is page cache, and what to enable where no metric tells (mora/policies/cache.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mora.domain import ContainerHistory, Reason, Target
from mora.quantities import readable_bytes
from mora.saturation import LimitBound

RESIDENT = "container_memory_rss"
"""Where this alone is known, what is not resident may also be shared memory, which the kernel cannot give back."""


def without_cache(history: ContainerHistory) -> ContainerHistory | None:
    """The same history with memory less its page cache, start-up included; None where the cache was not read."""
    if history.mem_less_cache_bytes is None:
        return None
    return replace(history, mem_bytes=history.mem_less_cache_bytes, startup_mem_bytes=None, mem_less_cache_bytes=None)


def page_cache(history: ContainerHistory, plain: ContainerHistory) -> Reason:
    """How much of the working set the kernel can give back, where the most is needed."""
    peak, needed = float(np.nanmax(history.mem_bytes)), float(np.nanmax(plain.mem_bytes))
    cache = f"{readable_bytes(max(peak - needed, 0.0))} of up to {readable_bytes(peak)} in use"
    if history.cache_known_by == RESIDENT:
        text = f"{cache} is not resident: page cache, most likely, since nothing was killed ({RESIDENT})"
    else:
        text = f"{cache} is page cache; the kernel gives it back when memory is short ({history.cache_known_by})"
    return Reason("page-cache", text)


def cache_unknown(history: ContainerHistory, bounded: LimitBound, target: Target) -> list[Reason]:
    """Memory that is full may be full of page cache: what to enable where no metric tells."""
    if target is not Target.MEMORY or bounded.cause != "at-limit" or history.cache_known_by:
        return []
    text = (
        "whether that is page cache, which the kernel gives back, is not known: Prometheus has no "
        f"container_memory_total_active_file_bytes and no {RESIDENT} of it. Keep them when scraping cAdvisor"
    )
    return [Reason("cache-unknown", text)]
