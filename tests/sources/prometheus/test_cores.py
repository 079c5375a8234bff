"""Counters of single cores add up; doubled series do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mora.sources.prometheus.cores import of_all_cores, sums_of_cores
from mora.sources.prometheus.matrix import Strip
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.shop import END, FLEET, days, fleet_at, read

AMOUNTS = st.lists(st.floats(0, 64), min_size=4, max_size=4)


def strip(values: list[float], first: int = 0, **labels: str) -> Strip:
    return Strip(labels, slice(first, first + len(values)), np.array(values))


@given(st.lists(AMOUNTS, min_size=1, max_size=5))
def test_cores_add_up_at_each_moment_however_often_they_are_scraped(amounts: list[list[float]]) -> None:
    doubled = [strip(values, cpu=f"cpu{core:02}", job=job) for job in ("a", "b") for core, values in enumerate(amounts)]
    found = of_all_cores(doubled)
    assert len(found) == 2
    for one in found:
        np.testing.assert_allclose(one.values, np.sum(amounts, axis=0))


def test_a_total_is_the_total_whatever_stands_beside_it() -> None:
    whole, core = strip([1.0, 2.0], cpu="total"), strip([0.5, 0.5], cpu="cpu00")
    assert of_all_cores([core, whole]) == [whole]
    plain = [strip([1.0]), strip([1.0], job="b")]
    assert of_all_cores(plain) == plain


def test_a_core_that_was_seen_for_a_shorter_time_counts_while_it_was_seen() -> None:
    (found,) = of_all_cores([strip([1.0, 1.0, 1.0], cpu="cpu00"), strip([2.0, np.nan], first=1, cpu="cpu01")])
    assert (found.rows.tolist(), found.values.tolist()) == ([0, 1, 2], [1.0, 3.0, 1.0])  # type: ignore[union-attr]


def test_an_instant_answer_adds_up_as_well() -> None:
    rows = [
        {"metric": {"pod": "a", "cpu": core}, "value": [0, value]} for core, value in (("cpu00", "1"), ("cpu01", "2"))
    ]
    rows.append({"metric": {"pod": "b", "cpu": "total"}, "value": [0, "7"]})
    assert sums_of_cores(rows) == [({"pod": "a"}, 3.0), ({"pod": "b"}, 7.0)]


@dataclass(frozen=True)
class ByCore(rig.Fleet):
    """A fleet whose CPU counters an older cAdvisor writes: a quarter of the use on one core, the rest on another."""

    def groups(self) -> Iterator[Group]:
        """The fleet's series, those of CPU by core."""
        for group in super().groups():
            is_cpu = [of["__name__"] == "container_cpu_usage_seconds_total" for of in group.labels]
            for chosen in (False, True):
                kept = [number for number, one in enumerate(is_cpu) if one is chosen]
                for core, share in (("cpu00", 0.25), ("cpu01", 0.75)) if chosen else (("", 1.0),):
                    more = {"cpu": core} if core else {}
                    labels = [{**group.labels[number], **more} for number in kept]
                    yield Group(labels, group.start, group.step, group.values[kept] * share, samples=group.samples)


def test_the_use_is_the_same_whether_cadvisor_splits_it_or_not(tmp_path: Path) -> None:
    services = tuple(FLEET.service(name) for name in ("frontend", "report"))
    found = []
    for number, fleet in enumerate((rig.Fleet(services, END), ByCore(services, END))):
        with rig.serving(tmp_path / str(number), fleet) as url:
            found.append(read(fleet_at(url), days(2)))
    for name, container in (("frontend", "server"), ("report", "report")):
        plain, split = (one[name].containers[container] for one in found)
        np.testing.assert_allclose(split.cpu_cores, plain.cpu_cores, rtol=1e-6)
        if plain.startup_cpu_cores is not None:
            assert split.startup_cpu_cores is not None
            np.testing.assert_allclose(split.startup_cpu_cores, plain.startup_cpu_cores, rtol=1e-6)
