"""Samples that cannot be, in a real Prometheus: counters that step back, absurd values, what is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import ContainerHistory, Target, Window, Workload
from mora.sources.prometheus.believable import Nodes, Sieve, cpu_ceiling, hosts_of, memory_ceiling, rising
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group

END = 1_790_000_040 // 60 * 60
LAST = rig.DAYS * rig.DAY + 1
RNG = np.random.default_rng(5)
USE = 0.2 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(LAST) / rig.DAY)) * np.exp(0.05 * RNG.standard_normal(LAST))
# What the container's counter had been before: five days of it.
COUNT = 90_000 + np.cumsum(USE * 60)


@dataclass(frozen=True)
class Odd(rig.Fleet):
    """A fleet whose CPU counters are given: from where on, how often, and their values."""

    counter: rig.Floats = field(default_factory=lambda: COUNT)
    every: int = 60
    node_cores: float | None = None

    def groups(self) -> Iterator[Group]:
        """The fleet's series, with the counter in place of its own."""
        for group in super().groups():
            kept = [n for n, of in enumerate(group.labels) if of["__name__"] != "container_cpu_usage_seconds_total"]
            yield Group(
                [group.labels[n] for n in kept], group.start, group.step, group.values[kept], samples=group.samples
            )
        pod = self.services[0].pods[-1]
        labels = {"__name__": "container_cpu_usage_seconds_total", "namespace": "shop", "pod": pod.name}
        of = {"container": "web", "image": "registry.local/shop/server:1", "job": "kubelet"}
        yield Group([{**labels, **of}], self.start, self.every, np.stack([self.counter]))
        if self.node_cores is not None:
            node = {"__name__": "kube_node_status_capacity", "resource": "cpu", "unit": "core", "node": "n"}
            yield Group([node], self.start, 60, np.array([self.node_cores]), samples=LAST)


def odd(counter: rig.Floats, *, every: int = 60, limit: float | None = None, node: float | None = None) -> Odd:
    box = rig.Box("web", USE, np.full(LAST, 300 * rig.MIB), cpu_limit=limit)
    service = rig.Service(Workload("shop", "web"), (rig.Pod("web-1aa-0", 0, (box,)),), 1)
    return Odd((service,), END, counter=counter, every=every, node_cores=node)


def read(folder: Path, fleet: Odd) -> ContainerHistory:
    end = datetime.fromtimestamp(END, UTC)
    with rig.serving(folder, fleet) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        window = Window(end - timedelta(days=3), end, timedelta(minutes=5))
        (history,) = source.histories(source.states("shop"), window)
    return history.containers["web"]


def of_use(found: ContainerHistory) -> tuple[float, float]:
    return float(np.nanquantile(found.cpu_cores, 0.95)), float(np.nanmax(found.cpu_cores))


@pytest.mark.parametrize(
    ("limit", "node", "why"),
    [
        (None, 4.0, "exceed the largest node's 4 cores"),
        (1.0, 64.0, "exceed twice the CPU limit of 1 core"),
        (1.0, None, "exceed twice the CPU limit of 1 core"),
        (None, None, "exceed the 2,048 cores of the largest machines"),
    ],
)
def test_an_absurd_sample_is_left_out_and_counted(
    tmp_path: Path, limit: float | None, node: float | None, why: str
) -> None:
    counter = COUNT.copy()
    moments = END - 60 * np.arange(LAST)[::-1]
    wrong = np.flatnonzero((moments - END) % 43_200 == 0)  # two a day, on steps of five minutes
    counter[wrong] = 1.73e9
    found = read(tmp_path, odd(counter, limit=limit, node=node))
    level, highest = of_use(found)
    recent = USE[-3 * rig.DAY :]
    assert level == pytest.approx(float(np.quantile(recent, 0.95)), rel=0.03)
    assert highest <= float(recent.max()) * 1.001
    left_out = found.left_out[Target.CPU]
    assert (left_out.count, left_out.why) == (7, why)
    assert left_out.samples == pytest.approx(865, abs=2)


def test_a_counter_that_is_noise_leaves_too_little_to_believe(tmp_path: Path) -> None:
    counter = np.random.default_rng(1).random(LAST) * 1e9
    found = read(tmp_path, odd(counter, node=4.0))
    assert found.left_out[Target.CPU].share > 0.5


def test_ordinary_use_leaves_nothing_out(tmp_path: Path) -> None:
    assert read(tmp_path, odd(COUNT, node=1.0, limit=1.0)).left_out == {}


def test_the_largest_node_counts_and_what_is_not_finite_is_not_known() -> None:
    rows = [
        {"metric": {"resource": resource}, "value": [0, value]}
        for resource, value in (("cpu", "4"), ("cpu", "8"), ("cpu", "+Inf"), ("memory", "NaN"))
    ]
    largest = hosts_of(rows).largest
    assert largest == Nodes(8.0, None)
    assert memory_ceiling(largest).amount == 64 * 2**40


def test_a_pod_is_bounded_by_its_own_nodes_where_use_is_above_the_smallest() -> None:
    rows = [
        {"metric": {"resource": "cpu", "node": name}, "value": [0, cores]}
        for name, cores in (("small", "4"), ("large", "64"), ("medium", "8"))
    ]
    hosts = hosts_of(rows)
    assert not hosts.may_tell(Target.CPU, np.array([np.nan, 3.9]))
    assert hosts.may_tell(Target.CPU, np.array([np.nan, 4.1]))
    assert not hosts.may_tell(Target.MEMORY, np.array([1e12]))  # no node's memory is known
    homes = (("web-0", "small"), ("db-0", "small"), ("db-0", "medium"), ("lost", "gone"))
    hosts.note_homes({"namespace": "shop", "pod": pod, "node": node} for pod, node in homes)
    assert hosts.of(("shop", "web-0")) == Nodes(4.0, None, is_own=True)
    assert hosts.of(("shop", "db-0")).cpu_cores == 8.0  # it moved
    assert hosts.of(("shop", "lost")) == hosts.of(("shop", "never-seen")) == Nodes(64.0)
    alike = hosts_of([*rows[:1], {"metric": {"resource": "cpu", "node": "other"}, "value": [0, "4"]}])
    assert not alike.may_tell(Target.CPU, np.array([5.0]))  # all nodes tell the same


def test_a_node_at_full_use_reads_a_little_above_its_cores_and_is_believed() -> None:
    sieve = Sieve(Target.CPU)
    passed = sieve.sift(np.array([3.0, 4.3, 5.0]), cpu_ceiling(Nodes(4.0), None, has_quota=False))
    np.testing.assert_array_equal(passed, [3.0, 4.0, np.nan])
    assert sieve.dropped == {"exceed the largest node's 4 cores": 1}


class Mixed(Odd):
    """On a small node, beside a large one that lived for a quarter of an hour, between two looks at the nodes."""

    def groups(self) -> Iterator[Group]:
        """The series, and those of the nodes."""
        yield from super().groups()
        node = {"__name__": "kube_node_status_capacity", "resource": "cpu", "unit": "core"}
        yield Group([{**node, "node": "small"}], self.start, 60, np.array([4.0]), samples=LAST)
        late = self.start + (LAST - rig.DAY) * 60
        yield Group([{**node, "node": "large"}], late // 1800 * 1800 + 360, 60, np.array([64.0]), samples=15)
        home = {"__name__": "kube_pod_info", "namespace": "shop", "pod": "web-1aa-0", "node": "small"}
        yield Group([home], self.start, 60, np.array([1.0]), samples=LAST)


def test_the_node_of_the_pod_itself_bounds_its_use_and_a_node_that_lived_for_minutes_is_known(tmp_path: Path) -> None:
    counter = COUNT.copy()
    moments = END - 60 * np.arange(LAST)[::-1]
    (at, *_) = np.flatnonzero(((moments - END) % 300 == 0) & (moments > END - rig.DAY * 60))
    counter[at:] += 60 * 20  # one scrape of 20 cores, on a step of five minutes
    fleet = Mixed(odd(COUNT).services, END, counter=counter)
    end = datetime.fromtimestamp(END, UTC)
    with rig.serving(tmp_path, fleet) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        window = Window(end - timedelta(days=3), end, timedelta(minutes=5))
        (history,) = source.histories(source.states("shop"), window)
    assert history.largest_node is not None
    assert history.largest_node.cpu_request_millicores == 64_000
    found = history.containers["web"]
    assert found.left_out[Target.CPU].why == "exceed its own node's 4 cores"
    assert float(np.nanmax(found.cpu_cores)) < 1.0


def test_a_limit_bounds_use_only_where_it_is_enforced() -> None:
    node = Nodes(8.0)
    assert cpu_ceiling(node, 1.0, has_quota=False).amount == 8.0
    assert cpu_ceiling(node, 1.0, has_quota=True).amount == pytest.approx(2.2)
    assert cpu_ceiling(Nodes(), 1.0, has_quota=False).amount == pytest.approx(2.2)


def test_no_memory_above_its_limit_is_believed_unless_it_is_there_often() -> None:
    usage = np.full(300, 300.0)
    usage[100] = 5000.0
    sieve = Sieve(Target.MEMORY)
    np.testing.assert_array_equal(np.isnan(sieve.sift(usage, memory_ceiling(Nodes(), 512.0))), usage > 512.0)
    assert sieve.dropped == {"exceed the memory limit of 512 B": 1}
    # A tenth of the samples above it: kube-state-metrics has another limit than the kernel.
    often = np.where(np.arange(300) % 10 == 0, 600.0, 300.0)
    np.testing.assert_array_equal(Sieve(Target.MEMORY).sift(often, memory_ceiling(Nodes(), 512.0)), often)
    assert memory_ceiling(Nodes(mem_bytes=400.0), 512.0).amount == 400.0


def test_a_limit_that_many_samples_exceed_is_not_enforced_and_bounds_nothing() -> None:
    """One sample in fifteen at three times the limit: the limit is not what stops this container."""
    values = np.where(np.arange(300) % 15 == 0, 3.0, 0.5)
    sieve = Sieve(Target.CPU)
    np.testing.assert_array_equal(sieve.sift(values, cpu_ceiling(Nodes(), 1.0, has_quota=True)), values)
    assert sieve.left_out() is None
    # A single one, or thousands of cores, is no use.
    once = np.where(np.arange(300) == 7, 3.0, 0.5)
    assert np.isnan(Sieve(Target.CPU).sift(once, cpu_ceiling(Nodes(), 1.0, has_quota=True))[7])
    absurd = np.where(np.arange(300) % 15 == 0, 1500.0, 0.5)
    assert np.isnan(Sieve(Target.CPU).sift(absurd, cpu_ceiling(Nodes(), 1.0, has_quota=True))).sum() == 20
    # The node bounds it all the same.
    many = np.where(np.arange(300) % 15 == 0, 5.0, 0.5)
    assert np.isnan(Sieve(Target.CPU).sift(many, cpu_ceiling(Nodes(4.0), 1.0, has_quota=True))).sum() == 20


def test_without_a_node_use_far_above_all_other_is_odd() -> None:
    values = np.full(200, 0.3)
    values[7] = 400.0
    sieve = Sieve(Target.CPU)
    assert np.isnan(sieve.sift_odd(values, Nodes())[7])
    assert sieve.dropped == {"are above 16 cores and more than 20 times the usual 300m": 1}
    assert Sieve(Target.CPU).sift_odd(values, Nodes(512.0))[7] == 400.0  # it may be, on such a node


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=50))
def test_nothing_above_the_node_ever_passes(values: list[float]) -> None:
    passed = Sieve(Target.CPU).sift(np.array(values, dtype=np.float64), cpu_ceiling(Nodes(4.0), None, has_quota=False))
    assert not np.any(passed > 4.04)


def test_a_small_step_back_is_no_use_and_a_large_one_is_not_known() -> None:
    np.testing.assert_array_equal(rising(np.array([0.3, -0.01, -5.0, np.nan])), [0.3, 0.0, np.nan, np.nan])
