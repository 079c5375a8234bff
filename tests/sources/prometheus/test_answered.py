"""Answers out of a state: the same as a full read, however a history is cut into runs, and next to nothing is asked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora import pipeline
from mora.domain import BoundSeries, KeptBound, Window, Workload
from mora.errors import BadInput
from mora.fleet.settings import FleetSettings
from mora.sources.prometheus.answered import Kept
from mora.sources.prometheus.asked import Batch
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.observe import PrometheusSource
from mora.state.opening import opened
from tests.fleet import rig
from tests.sources.prometheus.shop import END, assert_same, read

FIVE, HOUR = timedelta(minutes=5), timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEB, CART = Workload("shop", "web"), Workload("shop", "cart")


def window(hours_back: float, days: float = 12) -> Window:
    end = datetime.fromtimestamp(END // 300 * 300 - hours_back * 3600, UTC)
    return Window(end - timedelta(days=days), end, FIVE)


def fleet(url: str, span: Window, state: Path | None = None, say: Any = print) -> PrometheusFleet:
    return PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: span.end, state=state, say=say)


def test_every_run_reads_what_a_full_read_would(url: str, tmp_path: Path) -> None:
    # A quarter of an hour, days, a shorter history, a clock that jumps back.
    asked: list[int] = []
    for span in (window(50), window(49.75), window(1), window(3, days=5)):
        full, kept = fleet(url, span), fleet(url, span, tmp_path)
        states = full.states()
        whole, renewed = read(full, span, states), read(kept, span, states)
        assert whole.keys() == renewed.keys()
        asked.append(sum("max_over_time(irate" in text and "offset" in text for _, text in kept.asked))
        for name, one in whole.items():
            other = renewed[name]
            assert one.containers.keys() == other.containers.keys(), name
            for container, history in one.containers.items():
                assert_same(history, other.containers[container])
            np.testing.assert_array_equal(one.replicas, other.replicas)
            assert (one.queries, one.warnings, one.late) == (other.queries, other.warnings, other.late)
    # How hot a start was is asked once.
    assert asked[0] == 1
    assert asked[1] == 0


def requests(
    url: str, span: Window, state: Path | None = None, stop_after: int | None = None
) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """What is recommended for each container. stop_after: the run ends after so many workloads."""
    source = fleet(url, span, state)
    advice = pipeline.recommend_fleet(source.states(), source, span, settings=FleetSettings(horizon=HOUR))
    found = {
        (one.workload.name, of.container): (of.cpu_request.value, of.memory_request.value)
        for one in itertools.islice(advice, stop_after)
        for of in one.containers
    }
    cast(Any, advice).close()
    return found


def kept_bounds(state: Path, workloads: Sequence[Workload]) -> dict[BoundSeries, KeptBound]:
    with opened(state, say=print) as store:
        return store.bounds(workloads, FIVE, HOUR)


def test_bounds_go_on_from_run_to_run_and_are_those_of_a_full_read(url: str, tmp_path: Path) -> None:
    first, last = window(1), window(0.5, days=12 + 0.5 / 24)  # of as many samples as are learnt from in two runs
    workloads = [one.workload for one in fleet(url, first).states()]
    requests(url, first, tmp_path)
    before = kept_bounds(tmp_path, workloads)
    assert len(before) >= 10
    # Ended in between: what was kept stays, whole, and the next run goes on from it.
    requests(url, last, tmp_path, stop_after=1)
    assert kept_bounds(tmp_path, workloads).keys() == before.keys()
    found, expected = requests(url, last, tmp_path), requests(url, last)
    after = kept_bounds(tmp_path, workloads)
    went_on = sum(one.until == before[series].until for series, one in after.items() if series in before)
    assert went_on >= 0.8 * len(before)
    assert {one.at for one in after.values()} == {last.end.timestamp()}
    assert found.keys() == expected.keys()
    for container, numbers in expected.items():
        for number, other in zip(numbers, found[container], strict=True):
            assert (number is None and other is None) or other == pytest.approx(number, rel=0.005, abs=1), (
                container
            )  # one millicore


# --- against a server whose every sample is known --------------------------------------------------------------------


@dataclass
class Server:
    """A store of samples: pod -> row -> value. asked: rows that were asked for, a query each."""

    samples: dict[str, dict[int, float]] = field(default_factory=dict)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def ranges(
        self, questions: Sequence[tuple[str, str, Window]], *, in_time: bool
    ) -> Iterator[tuple[str, Window, list[Strip]]]:
        for name, text, span in questions:
            first, last = (span.start - EPOCH) // FIVE, (span.end - EPOCH) // FIVE
            self.asked.append((first, last))
            named = re.search(r'pod=~?"([^"]*)"', text)
            pods = self.samples if named is None else [one for one in named[1].split("|") if one in self.samples]
            strips = []
            for pod in pods:
                rows = np.array(sorted(row for row in self.samples[pod] if first <= row <= last), dtype=np.intp)
                values = np.array([self.samples[pod][int(row)] for row in rows])
                if len(rows):
                    labels = {"namespace": "shop", "pod": pod, "container": "server"}
                    strips.append(Strip(labels, rows - first, values))
            yield name, span, strips


def ask(scope: Scope) -> str:
    return scope.select("used")


def rows_of(
    server: Server, state: Path, first: int, last: int, pods: dict[str, Workload]
) -> dict[str, dict[int, float]]:
    """What a run over some rows gives, pod by pod."""
    states: Any = tuple(sorted(set(pods.values())))
    batch = Batch(states, {("shop", pod): workload for pod, workload in pods.items()}, Scope(("shop",)), False)
    span = Window(EPOCH + first * FIVE, EPOCH + last * FIVE, FIVE)
    with opened(state, say=print) as store:
        kept = Kept(cast(Any, server), store, {("shop", pod) for pod in server.samples})
        found: dict[str, dict[int, float]] = {}
        middle = span.start + FIVE * ((last - first) // 2)
        parts = [Window(span.start, middle, FIVE)]
        if middle < span.end:
            parts.append(Window(middle + FIVE, span.end, FIVE))
        for _, piece, strips in kept.ranges(batch, [("cpu", ask, one) for one in parts]):
            for strip in strips:
                numbers = np.arange(strip.rows.start, strip.rows.stop) if isinstance(strip.rows, slice) else strip.rows
                begin = (piece.start - EPOCH) // FIVE
                of_pod = found.setdefault(strip.labels["pod"], {})
                of_pod |= {int(row) + begin: float(value) for row, value in zip(numbers, strip.values, strict=True)}
        kept.commit()
    return found


def seen(server: Server, first: int, last: int) -> dict[str, dict[int, float]]:
    """What a full read gives."""
    within = {p: {row: v for row, v in rows.items() if first <= row <= last} for p, rows in server.samples.items()}
    return {pod: rows for pod, rows in within.items() if rows}


@st.composite
def pasts(draw: st.DrawFn) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[int, int]]]:
    """Pod -> row and by how many rows its sample came late; and the last row and the length of each run."""
    pods = {}
    for number in range(draw(st.integers(1, 3))):
        begin, end = sorted(draw(st.tuples(st.integers(0, 120), st.integers(0, 120))))
        gaps = draw(st.sets(st.integers(begin, end), max_size=20))
        lateness = draw(st.lists(st.integers(0, 3), min_size=end - begin + 1, max_size=end - begin + 1))
        pods[f"web-{number}"] = [(row, lateness[row - begin]) for row in range(begin, end + 1) if row not in gaps]
    runs = draw(st.lists(st.tuples(st.integers(10, 125), st.integers(1, 130)), min_size=1, max_size=6))
    return pods, runs


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pasts())
def test_any_way_of_cutting_a_history_into_runs_gives_what_is_there(
    past: tuple[dict[str, list[tuple[int, int]]], list[tuple[int, int]]],
) -> None:
    """Late by up to a quarter of an hour, with gaps, runs of any length, and a clock that jumps both ways."""
    samples, runs = past
    server = Server()
    newest = 0
    with TemporaryDirectory() as folder:
        for last, length in runs:
            newest = max(newest, last)  # time goes on, also for a reader whose clock is behind
            server.samples = {
                pod: {row: row + 0.5 for row, late in rows if row + late <= newest} for pod, rows in samples.items()
            }
            server.samples = {pod: rows for pod, rows in server.samples.items() if rows}
            first = max(0, last - length)
            pods = {pod: WEB if pod != "web-2" else CART for pod in server.samples}
            if pods:
                assert rows_of(server, Path(folder), first, last, pods) == seen(server, first, last)


def test_a_renewal_asks_for_what_is_new_and_a_little_before_it(tmp_path: Path) -> None:
    server = Server({"web-0": dict.fromkeys(range(5000), 1.0)})
    rows_of(server, tmp_path, 0, 4000, {"web-0": WEB})
    assert {row for first, last in server.asked for row in (first, last)} >= {0, 4000}
    server.asked.clear()
    rows_of(server, tmp_path, 3, 4003, {"web-0": WEB})
    assert server.asked == [(3995, 4003)]


def test_a_pod_that_was_not_known_is_asked_for_alone(tmp_path: Path) -> None:
    server = Server({"web-0": dict.fromkeys(range(200), 1.0), "web-1": dict.fromkeys(range(50, 200), 2.0)})
    rows_of(server, tmp_path, 0, 150, {"web-0": WEB})
    server.asked.clear()
    found = rows_of(server, tmp_path, 0, 153, {"web-0": WEB, "web-1": WEB})
    assert found == seen(server, 0, 153)
    assert server.asked == [(0, 74), (75, 150), (145, 153)]


def test_what_comes_hours_late_is_found_as_long_as_it_is_joined_to_what_is_new(tmp_path: Path) -> None:
    """A Prometheus that was behind by hours, as after an outage of remote writes, has caught up."""
    server = Server({"web-0": dict.fromkeys(range(200), 1.0), "web-1": dict.fromkeys(range(100), 2.0)})
    pods = {"web-0": WEB, "web-1": WEB}
    rows_of(server, tmp_path, 0, 199, pods)
    server.samples = {pod: dict.fromkeys(range(204), 1.0 + number) for number, pod in enumerate(pods)}
    assert rows_of(server, tmp_path, 0, 203, pods) == seen(server, 0, 203)


def test_a_time_without_any_sample_is_asked_for_again(tmp_path: Path) -> None:
    """A Prometheus that was away is filled up from elsewhere a day later."""
    server = Server({"web-0": {row: 1.0 for row in range(300) if not 100 <= row < 120}})
    rows_of(server, tmp_path, 0, 299, {"web-0": WEB})
    server.samples["web-0"] = dict.fromkeys(range(303), 1.0)
    server.asked.clear()
    assert rows_of(server, tmp_path, 0, 302, {"web-0": WEB}) == seen(server, 0, 302)
    assert server.asked == [(294, 302), (100, 119)]


def test_a_prometheus_that_was_away_is_caught_up_with(tmp_path: Path) -> None:
    server = Server({"web-0": dict.fromkeys(range(100), 1.0)})
    rows_of(server, tmp_path, 0, 150, {"web-0": WEB})  # silent since row 100
    server.samples["web-0"] = dict.fromkeys(range(200), 1.0)
    assert rows_of(server, tmp_path, 0, 160, {"web-0": WEB}) == seen(server, 0, 160)


def test_samples_that_the_prometheus_no_longer_has_are_kept(tmp_path: Path) -> None:
    """A shorter retention, or a restored backup: what was read counts, and the workload is named."""
    server = Server({"web-0": dict.fromkeys(range(200), 1.0)})
    rows_of(server, tmp_path, 0, 199, {"web-0": WEB})
    server.samples["web-0"] = dict.fromkeys(range(198, 204), 2.0)
    found = rows_of(server, tmp_path, 0, 203, {"web-0": WEB})
    assert found["web-0"] == {**dict.fromkeys(range(198), 1.0), **dict.fromkeys(range(198, 204), 2.0)}


def test_a_clock_far_ahead_drops_nothing(url: str, tmp_path: Path) -> None:
    span, ahead = window(1, days=2), window(-24 * 400, days=2)
    states = fleet(url, span).states()
    before = read(fleet(url, span, tmp_path), span, states)
    read(fleet(url, ahead, tmp_path), ahead, states)
    with opened(tmp_path, say=print) as store:
        assert store.newest() == span.end.timestamp()
    after = read(fleet(url, span, tmp_path), span, states)
    for name, one in before.items():
        for container, history in one.containers.items():
            assert_same(history, after[name].containers[container])


def test_a_state_of_another_cluster_is_refused(url: str, tmp_path: Path) -> None:
    span = window(1, days=2)
    read(fleet(url, span, tmp_path / "state"), span)
    one = rig.Pod("frontend-999-0", 0, (rig.Box("server", np.full(20_000, 0.1), np.full(20_000, 1e8)),))
    other = rig.Fleet((rig.Service(Workload("shop", "frontend"), (one,)),), END)
    with rig.serving(tmp_path, other) as address, pytest.raises(BadInput, match="of another cluster"):
        read(fleet(address, span, tmp_path / "state"), span)
