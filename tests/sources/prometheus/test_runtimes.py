"""What the metrics of runtimes and caches say in a real Prometheus, and which container that is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mora.domain import Window, Workload
from mora.domain.runtimes import Runtime
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group

END = 1_790_000_040 // 60 * 60
LAST = rig.DAYS * rig.DAY + 1
FLAT = np.ones(LAST)
GIB = 2**30
IMAGES = {
    "api": ("registry.local/shop/api:1",),
    "cache": ("docker.io/library/redis:7", "oliver006/redis_exporter:1"),
    "plain": ("registry.local/shop/plain:1",),
}
NAMES = {"api": ("api",), "cache": ("server", "metrics"), "plain": ("plain",)}
TOLD = {
    # The pools of a heap add up; one without a maximum says -1. What is beside the heap is none of it.
    ("api", "api", "jvm_memory_max_bytes", "area=heap", "id=old"): 2.0 * GIB,
    ("api", "api", "jvm_memory_max_bytes", "area=heap", "id=eden"): -1.0,
    ("api", "api", "jvm_memory_max_bytes", "area=nonheap", "id=code"): 1.0 * GIB,
    ("cache", "metrics", "redis_memory_max_bytes"): 1.5 * GIB,
    # The exporter beside it is a Go program without a limit of its own.
    ("cache", "metrics", "go_gc_gomemlimit_bytes"): 9.223372036854776e18,
    ("plain", "plain", "go_gc_gomemlimit_bytes"): 0.5 * GIB,
    ("plain", "unknown", "go_gc_gomemlimit_bytes"): 3.0 * GIB,
}


@dataclass(frozen=True)
class Telling(rig.Fleet):
    """A fleet whose runtimes tell what they may take."""

    def groups(self) -> Iterator[Group]:
        """The fleet's series, and those of the runtimes."""
        yield from super().groups()
        for (name, container, metric, *more), value in TOLD.items():
            labels = {"__name__": metric, "namespace": "shop", "pod": f"{name}-1aa-0", "container": container}
            labels |= dict(pair.split("=") for pair in more)
            yield Group([labels], self.start, 60, np.array([value]), samples=LAST)


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Runtime | None]:
    services = tuple(
        rig.Service(
            Workload("shop", name),
            (
                rig.Pod(
                    f"{name}-1aa-0",
                    0,
                    tuple(
                        rig.Box(container, 0.1 * FLAT, 200 * rig.MIB * FLAT, image=image)
                        for container, image in zip(NAMES[name], IMAGES[name], strict=True)
                    ),
                ),
            ),
            1,
        )
        for name in NAMES
    )
    end = datetime.fromtimestamp(END, UTC)
    with rig.serving(tmp_path_factory.mktemp("runtimes"), Telling(services, END)) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        window = Window(end - timedelta(days=1), end, timedelta(minutes=5))
        return {
            (history.workload.name, name): one.runtime
            for history in source.histories(source.states("shop"), window)
            for name, one in history.containers.items()
        }


def test_a_heap_is_known_by_its_metrics_and_not_whether_it_follows_the_limit(
    runtimes: dict[tuple[str, str], Runtime | None],
) -> None:
    assert runtimes["api", "api"] == Runtime("Java", None, "jvm_memory_max_bytes")


def test_what_an_exporter_tells_is_of_the_cache_beside_it(runtimes: dict[tuple[str, str], Runtime | None]) -> None:
    assert runtimes["cache", "server"] == Runtime("Redis", 1536 * 2**20, "redis_memory_max_bytes")
    assert runtimes["cache", "metrics"] is None


def test_a_limit_of_go_counts_where_it_is_set_and_whose_it_is_is_known(
    runtimes: dict[tuple[str, str], Runtime | None],
) -> None:
    assert runtimes["plain", "plain"] == Runtime("Go", GIB // 2, "go_gc_gomemlimit_bytes")
