"""Swap and page cache in a real Prometheus: what of memory is needed, and what the kernel can give back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.domain import Target, Window, Workload, WorkloadHistory
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.fleet_promql import ACTIVE_FILE, RSS, SWAP
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group

END = 1_790_000_040 // 60 * 60
LAST = rig.DAYS * rig.DAY + 1
MIB = rig.MIB
FLAT = np.ones(LAST)


@dataclass(frozen=True)
class More(rig.Fleet):
    """A fleet with further cAdvisor gauges: pod -> metric -> values."""

    more: Mapping[str, Mapping[str, rig.Floats]] = field(default_factory=dict)
    node_swap: float | None = None

    def groups(self) -> Iterator[Group]:
        """The fleet's series, and these."""
        yield from super().groups()
        if self.node_swap is not None:
            node = {"__name__": "machine_swap_bytes", "node": "node-1", "job": "kubelet"}
            yield Group([node], self.start, rig.SCRAPE_SECONDS, np.array([self.node_swap]), samples=LAST)
        for pod, metrics in self.more.items() if any(self.more.values()) else ():
            # Of the two jobs that scrape the containers, the other drops these.
            of = {"namespace": "shop", "pod": pod, "container": "db", "job": "kubelet"}
            of |= {"image": "registry.local/shop/server:1", "metrics_path": "/metrics/cadvisor"}
            of |= {"id": f"/kubepods/{pod}-0/db-0"}
            labels = [{"__name__": name, **of} for name in metrics]
            yield Group(labels, self.start, rig.SCRAPE_SECONDS, np.stack(list(metrics.values())))


def read(
    folder: Path,
    memory: rig.Floats,
    more: Mapping[str, rig.Floats],
    *,
    request: float = 1024 * MIB,
    limit: float | None = 1024 * MIB,
    node_swap: float | None = None,
) -> WorkloadHistory:
    """Three days of a database with this working set, and of a second that has no swap and no cache."""
    services = tuple(
        rig.Service(
            Workload("shop", name),
            (rig.Pod(f"{name}-1aa-0", 0, (rig.Box("db", 0.2 * FLAT, used, mem_request=request, mem_limit=limit),)),),
            1,
        )
        for name, used in (("db", memory), ("other", 300 * MIB * FLAT))
    )
    end = datetime.fromtimestamp(END, UTC)
    # The other pod's node is a newer one.
    quiet = {
        name: 0.0 * FLAT if name != RSS else 290 * MIB * FLAT for name in (*more, *([ACTIVE_FILE] if more else []))
    }
    with rig.serving(
        folder, More(services, END, more={"db-1aa-0": more, "other-1aa-0": quiet}, node_swap=node_swap)
    ) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        window = Window(end - timedelta(days=3), end, timedelta(minutes=5))
        found = {one.workload.name: one for one in source.histories(source.states("shop"), window)}
    other = found["other"].containers["db"]
    assert np.nanmax(other.mem_bytes) == 300 * MIB
    assert (other.mem_less_cache_bytes, other.left_out) == (None, {})
    return found["db"]


def test_what_was_swapped_out_counts_as_needed(tmp_path: Path) -> None:
    found = read(tmp_path, 300 * MIB * FLAT, {SWAP: 500 * MIB * FLAT})
    used = found.containers["db"]
    assert np.nanmax(used.mem_bytes) == 800 * MIB
    assert np.nanmin(used.mem_bytes) == 800 * MIB
    assert "500 MiB was swapped out" in used.left_out[Target.MEMORY].remark
    assert SWAP in found.queries["memory"]


def test_memory_without_page_cache_is_read_where_the_working_set_could_raise_the_request(tmp_path: Path) -> None:
    cache = np.linspace(100, 700, LAST) * MIB
    found = read(tmp_path, 300 * MIB + cache, {ACTIVE_FILE: cache, RSS: 250 * MIB * FLAT})
    used = found.containers["db"]
    assert np.nanmax(used.mem_bytes) == 1000 * MIB
    assert used.mem_less_cache_bytes is not None
    # Shared memory (the 50 MiB between resident memory and what is no cache) is not given back.
    assert np.nanmax(used.mem_less_cache_bytes) == pytest.approx(300 * MIB, rel=0.01)
    assert used.cache_known_by == ACTIVE_FILE
    assert ACTIVE_FILE in found.queries["memory without page cache"]


def test_page_cache_is_not_read_where_the_request_has_room(tmp_path: Path) -> None:
    found = read(tmp_path, 500 * MIB * FLAT, {ACTIVE_FILE: 200 * MIB * FLAT})
    assert found.containers["db"].mem_less_cache_bytes is None


@pytest.mark.parametrize(("memory", "is_told"), [(1020.0, True), (900.0, False)])
def test_resident_memory_alone_tells_cache_only_at_the_limit(tmp_path: Path, memory: float, is_told: bool) -> None:
    used = read(tmp_path, memory * MIB * FLAT, {RSS: 300 * MIB * FLAT}).containers["db"]
    assert (used.mem_less_cache_bytes is not None) == is_told
    if used.mem_less_cache_bytes is not None:
        assert np.nanmax(used.mem_less_cache_bytes) == 300 * MIB
        assert used.cache_known_by == RSS


def test_swap_and_page_cache_of_one_container_both_count(tmp_path: Path) -> None:
    more = {SWAP: 200 * MIB * FLAT, ACTIVE_FILE: 600 * MIB * FLAT}
    used = read(tmp_path, 1000 * MIB * FLAT, more).containers["db"]
    assert np.nanmax(used.mem_bytes) == 1200 * MIB
    assert used.mem_less_cache_bytes is not None
    assert np.nanmax(used.mem_less_cache_bytes) == 600 * MIB


def test_shared_memory_at_the_limit_is_no_cache_where_active_file_pages_are_known(tmp_path: Path) -> None:
    more = {RSS: 300 * MIB * FLAT, ACTIVE_FILE: 10 * MIB * FLAT}
    used = read(tmp_path, 1020 * MIB * FLAT, more).containers["db"]
    assert (used.mem_less_cache_bytes, used.cache_known_by) == (None, ACTIVE_FILE)


def test_without_any_metric_of_cache_nothing_is_known(tmp_path: Path) -> None:
    used = read(tmp_path, 1020 * MIB * FLAT, {}).containers["db"]
    assert (used.mem_less_cache_bytes, used.cache_known_by) == (None, "")


@pytest.mark.parametrize(("node", "expected"), [(0.0, 300 * MIB), (2048 * MIB, 800 * MIB), (None, 800 * MIB)])
def test_swap_is_looked_for_where_a_node_may_have_some(tmp_path: Path, node: float | None, expected: float) -> None:
    used = read(tmp_path, 300 * MIB * FLAT, {SWAP: 500 * MIB * FLAT}, node_swap=node).containers["db"]
    assert np.nanmax(used.mem_bytes) == expected
