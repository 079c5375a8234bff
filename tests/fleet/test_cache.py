"""Memory that is full: of page cache, of what is needed, or of what no metric tells."""

from __future__ import annotations

from typing import Any

import numpy as np

from mora.domain import ContainerHistory, Workload
from mora.quantities import MIB
from tests.fleet.making import DAY, SAMPLES, advised, codes, container_history, history, state, steady


def full(**fields: Any) -> ContainerHistory:
    """Memory that fills its limit of 512 MiB."""
    limit = np.full(SAMPLES, 512.0 * MIB)
    return container_history(mem_bytes=limit - MIB, mem_limit_bytes=limit, **fields)


def test_memory_that_is_full_of_cache_is_not_raised_with_a_reason() -> None:
    less = steady(200 * MIB, seed=2)
    for metric, text in (
        ("container_memory_total_active_file_bytes", "is page cache; the kernel gives it back"),
        ("container_memory_rss", "is not resident: page cache, most likely, since nothing was killed"),
    ):
        request = advised(seen=history(full(mem_less_cache_bytes=less, cache_known_by=metric))).main.memory_request
        assert request.value == 512 * MIB
        assert request.confidence is not None
        assert text in next(reason.text for reason in request.reasons if reason.code == "page-cache")
        assert "stepped" not in codes(request)


def test_memory_that_is_full_of_what_no_metric_tells_is_raised_and_says_what_to_enable() -> None:
    request = advised(seen=history(full())).main.memory_request
    assert request.value is not None
    assert request.value > 512 * MIB
    assert "Keep them when scraping cAdvisor" in next(r.text for r in request.reasons if r.code == "cache-unknown")
    known = advised(seen=history(full(cache_known_by="container_memory_rss"))).main.memory_request
    assert "cache-unknown" not in codes(known)


def test_a_job_that_fills_its_limit_with_files_that_it_reads_is_not_raised_either() -> None:
    job = Workload("shop", "report", "CronJob")
    runs = np.where(np.arange(SAMPLES) % DAY < 6, 511.0 * MIB, np.nan)
    limit = np.full(SAMPLES, 512.0 * MIB)
    of: dict[str, Any] = {"mem_bytes": runs, "mem_limit_bytes": limit, "pods": 14}
    less: dict[str, Any] = {
        "mem_less_cache_bytes": runs * 0.4,
        "cache_known_by": "container_memory_total_active_file_bytes",
    }
    raised = advised(state(workload=job), history(container_history(**of), workload=job)).main.memory_request
    assert (raised.value or 0) > 512 * MIB
    kept = advised(state(workload=job), history(container_history(**of, **less), workload=job)).main.memory_request
    assert kept.value == 512 * MIB
