"""Samples that cannot be: counters that step back, duplicates, absurd values, values that are no numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, memory, never_says, says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import GIB, MIB, Box, Series

WEB = Box("web", None, None, (0.5, 512 * MIB), (None, 512 * MIB))


def _counter(series: Series, cores: float, *, swing: float = 0.3) -> np.ndarray:
    return np.cumsum(series.wave(cores, swing=swing) * series.every) + 90_000


def _memory(series: Series, pod: str, mib: float = 300) -> None:
    series.add("container_memory_working_set_bytes", series.steady(mib * MIB), **series.cadvisor(pod, WEB))


def _expected(series: Series, cores: float, *, swing: float = 0.3) -> Check:
    need = float(np.quantile(series.wave(cores, swing=swing), 0.95)) * 1000
    return cpu("web", need * 0.97, need * 1.35)


@case("grafana/alloy#2531")
def two_collectors_half_a_second_apart(series: Series) -> Sequence[Check]:
    """Every third scrape is stored a second time under the same labels, read 0.4 s of CPU earlier: no restart."""
    series.deployment("web", WEB)
    counter = _counter(series, 0.2)
    back = counter.copy()
    back[::3] -= 0.4
    series.add("container_cpu_usage_seconds_total", np.where(series.random().random(series.count) < 0.3, back, counter),
               **series.cadvisor("web-7d4b9c-x0", WEB))  # fmt: skip
    _memory(series, "web-7d4b9c-x0")
    return (_expected(series, 0.2),)


@case("google/cadvisor#3611")
def one_absurd_counter_value_a_day(series: Series) -> Sequence[Check]:
    """Once a day a counter reads 1.7 billion for one scrape, then the old value again."""
    series.deployment("web", WEB)
    counter = _counter(series, 0.25)
    counter[700 :: 86_400 // series.every] = 1.73e9
    series.add("container_cpu_usage_seconds_total", counter, **series.cadvisor("web-7d4b9c-x0", WEB))
    _memory(series, "web-7d4b9c-x0")
    return _expected(series, 0.25), says("left out|cannot be|beyond", "web")


@case("kubernetes/kubernetes#27194", has_nodes=False)
def absurd_counter_and_unknown_nodes(series: Series) -> Sequence[Check]:
    """The same, where nothing says how large the nodes are: the series itself must bound it."""
    series.deployment("web", WEB)
    counter = _counter(series, 0.25)
    counter[500 :: 2 * 86_400 // series.every] = 1.8e13
    series.add("container_cpu_usage_seconds_total", counter, **series.cadvisor("web-7d4b9c-x0", WEB))
    _memory(series, "web-7d4b9c-x0")
    return (_expected(series, 0.25),)


@case("helm/charts#16121")
def two_scrape_jobs_of_one_kubelet(series: Series) -> Sequence[Check]:
    """Two jobs scrape the same kubelet: each container has two series of the same use, which must not add up."""
    box = Box("web", series.wave(0.3), series.steady(300 * MIB), (0.5, 512 * MIB))
    series.deployment("web", box)
    series.use("web-7d4b9c-x0", box, job="kubelet-again")
    need = float(np.quantile(series.wave(0.3), 0.95)) * 1000
    return cpu("web", need * 0.97, need * 1.35), memory("web", 310, 420)


@case("google/cadvisor#2362")
def memory_of_one_sample_beyond_the_node(series: Series) -> Sequence[Check]:
    """One scrape says that a container of 300 MiB holds 9 EiB."""
    usage = series.steady(300 * MIB)
    usage[series.count // 2] = 2.0**63
    series.deployment("web", Box("web", series.wave(0.2), usage, (0.5, 512 * MIB), (None, None)))
    return (memory("web", 310, 460),)


@case("own")
def memory_of_one_sample_beyond_the_limit(series: Series) -> Sequence[Check]:
    """One scrape is ten times the container's own memory limit: the kernel would not have let it."""
    usage = series.steady(300 * MIB)
    usage[series.count // 3] = 5 * GIB
    series.deployment("web", Box("web", series.wave(0.2), usage, (0.5, 512 * MIB), (None, 512 * MIB)))
    return (memory("web", 310, 520),)


@case("own")
def values_that_are_no_numbers(series: Series) -> Sequence[Check]:
    """A federation hands on NaN and Inf between the samples of a counter and of a gauge."""
    series.deployment("web", WEB)
    counter, usage = _counter(series, 0.2), series.steady(300 * MIB)
    counter[100::997] = np.nan
    counter[200::1999] = np.inf
    usage[300::1501] = np.inf
    labels = series.cadvisor("web-7d4b9c-x0", WEB)
    series.add_as_it_is("container_cpu_usage_seconds_total", counter, **labels)
    series.add_as_it_is("container_memory_working_set_bytes", usage, **labels)
    return _expected(series, 0.2), memory("web", 310, 460), never_says("NaN|nan%|Infinity")


@case("kubernetes-sigs/metrics-server#745")
def real_restarts_are_no_faults(series: Series) -> Sequence[Check]:
    """A container that restarts twice a day: its counter begins at zero, which is right, and its use stays believed."""
    series.deployment("web", WEB)
    counter = np.cumsum(series.wave(0.25) * series.every)
    for at in range(300, series.count, 43_200 // series.every):
        counter[at:] -= counter[at]
    series.add("container_cpu_usage_seconds_total", counter, **series.cadvisor("web-7d4b9c-x0", WEB))
    _memory(series, "web-7d4b9c-x0")
    return (_expected(series, 0.25, swing=0.4),)


@case("grafana/alloy#2531")
def three_collectors_on_twenty_pods(series: Series) -> Sequence[Check]:
    """Three collectors write every pod's counter in turns, each read at another moment of the scrape."""
    pods = {f"p{number:02d}": [WEB] for number in range(20)}
    series.deployment("web", pods=pods)
    for number in range(20):
        pod = f"web-7d4b9c-p{number:02d}"
        counter = np.cumsum(series.wave(0.2, swing=0.3, seed=number) * series.every) + 50_000
        late = series.random(number).choice([0.0, 0.15, 0.4], series.count)
        series.add("container_cpu_usage_seconds_total", counter - late, **series.cadvisor(pod, WEB))
        _memory(series, pod)
    return cpu("web", 230, 380), memory("web", 310, 420)


@case("own")
def a_counter_that_stands_still(series: Series) -> Sequence[Check]:
    """The kubelet repeats its last value for an hour, then catches up at once: no sample is ten times the use."""
    series.deployment("web", WEB)
    counter = _counter(series, 0.3)
    for at in range(500, series.count - 60, 1_440):
        counter[at : at + 60] = counter[at]
    series.add("container_cpu_usage_seconds_total", counter, **series.cadvisor("web-7d4b9c-x0", WEB))
    _memory(series, "web-7d4b9c-x0")
    return (_expected(series, 0.3),)
