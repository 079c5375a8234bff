"""Single pods: each continued by the pod before it whose place it took, and of these the ones that need most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Window
from mora.sources.prometheus.generations import Floats, PodSeries, dense, needing_most, note, places, spread

STEP = timedelta(minutes=5)
DAY = 288
START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + (14 * DAY - 1) * STEP, STEP)
COUNT = WINDOW.sample_count


def pod(name: str, first: int, level: float, samples: int, *, seed: int = 0) -> PodSeries:
    noise = np.random.default_rng(seed).uniform(0.9, 1.1, samples)
    return PodSeries(name, first, (level * noise).astype(np.float32))


def names(found: list[list[PodSeries]]) -> list[list[str]]:
    return [[one.pod for one in pods] for pods in found]


def test_a_rolling_update_of_one_pod_leaves_one_place() -> None:
    """For a few minutes two of them run: still one pod at a time."""
    pods = [pod(f"web-{day}", day * DAY, 0.2, DAY + 2) for day in range(14)]
    assert names(places(pods, STEP)) == [[one.pod for one in pods]]


def test_pods_that_run_at_once_have_a_place_each() -> None:
    pods = [pod(f"web-{number}", 0, 0.2, COUNT) for number in range(5)]
    assert len(places(pods, STEP)) == 5


def test_short_lived_pods_that_overlap_are_not_one_after_the_other() -> None:
    pods = [pod(f"task-{number}", number, 0.2, 4) for number in range(0, 40, 2)]
    assert len(places(pods, STEP)) == 2


def test_a_hot_pod_is_followed_by_the_hot_one_of_the_next_generation() -> None:
    """Whatever its name and its number: levels tell who took whose place."""
    pods = []
    for day in range(7):
        pods += [
            pod(f"g{day}-{(number + day) % 4}", day * DAY, 3.0 if number == 0 else 0.1, DAY, seed=9 * day + number)
            for number in range(4)
        ]
    found = places(pods, STEP)
    hot = [chain for chain in found if float(np.median(chain[0].values)) > 1]
    assert len(found) == 4
    assert [len(chain) for chain in hot] == [7]
    assert all(float(np.median(one.values)) > 1 for one in hot[0])


def test_a_rollout_that_changes_the_level_of_all_keeps_their_order() -> None:
    """0.36 cores are nearer to 0.4 than to 0.48, and yet follow the latter, though its pod started a little later."""
    before = [pod("a", 0, 0.40, DAY), pod("b", 0, 0.48, DAY)]
    after = [pod("x", DAY, 0.30, DAY), pod("y", DAY + 2, 0.36, DAY)]
    assert sorted(names(places([*after, *before], STEP))) == [["a", "x"], ["b", "y"]]


def test_one_pod_of_several_that_is_replaced_is_followed_by_its_like() -> None:
    before = [pod("hot", 0, 3.0, DAY), pod("cold", 0, 0.1, DAY), pod("stays", 0, 0.1, 2 * DAY)]
    found = places([*before, pod("new", DAY, 0.12, DAY)], STEP)
    assert sorted(names(found)) == [["cold", "new"], ["hot"], ["stays"]]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.integers(1, 400), st.sampled_from([0.1, 0.2, 3.0])), min_size=1, max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_pods_changes_nothing_and_each_is_in_one_place(
    drawn: list[tuple[int, int, float]], random: st.DataObject
) -> None:
    pods = [
        pod(f"p{number}", first, level, samples, seed=number) for number, (first, samples, level) in enumerate(drawn)
    ]
    mixed = list(pods)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    found = places(pods, STEP)
    assert names(found) == names(places(mixed, STEP))
    assert sorted(name for chain in names(found) for name in chain) == sorted(one.pod for one in pods)
    for one, other in zip(
        needing_most(found, WINDOW, None), needing_most(places(mixed, STEP), WINDOW, None), strict=True
    ):
        np.testing.assert_array_equal(one.cpu_cores, other.cpu_cores)


def test_use_is_that_of_single_pods_however_many_take_turns_at_a_burst() -> None:
    def bursting(number: int) -> PodSeries:
        rng = np.random.default_rng(number)
        return PodSeries(f"p{number}", 0, np.where(rng.random(COUNT) < 0.02, 1.0, 0.1).astype(np.float32))

    pods = [bursting(number) for number in range(60)]
    assert float(np.quantile(np.max([one.values for one in pods], axis=0), 0.9)) == 1.0  # what no pod uses
    found = needing_most(places(pods, STEP), WINDOW)
    assert 1 <= len(found) <= 4
    for one in found:
        assert float(np.quantile(one.cpu_cores, 0.95)) == pytest.approx(0.1)


def test_the_hot_shard_is_found_among_many_quiet_ones() -> None:
    pods = [pod(str(number), 0, 3.0 if number == 4 else 0.1, COUNT, seed=number) for number in range(10)]
    assert all(np.nanmin(one.cpu_cores) > 2 for one in needing_most(places(pods, STEP), WINDOW))


def test_a_pod_that_became_hot_today_counts_with_its_siblings_past() -> None:
    pods = [pod("old", 0, 0.1, COUNT), pod("older", 0, 0.1, COUNT, seed=3), pod("new", COUNT - 60, 3.0, 60)]
    (found, *others) = needing_most(places(pods, STEP), WINDOW)
    assert not others
    assert not np.isnan(found.cpu_cores).any()
    assert np.nanmin(found.cpu_cores[-60:]) > 2
    assert np.nanmax(found.cpu_cores[:-60]) < 0.2


def test_throttling_is_of_the_pod_and_not_of_the_worst_one() -> None:
    pods = [pod("hot", 0, 1.0, COUNT), pod("quiet", 0, 0.1, COUNT)]
    worst: Floats = np.full(COUNT, 0.5)
    (found,) = needing_most(places(pods, STEP), WINDOW, {"quiet": worst})
    assert found.throttled is not None
    assert found.throttled.max() == 0.0
    (found,) = needing_most(places(pods, STEP), WINDOW, {"hot": worst})
    assert found.throttled is not None
    assert found.throttled.min() == 0.5
    (found,) = needing_most(places(pods, STEP), WINDOW, None)
    assert found.throttled is None


def test_doubled_scrapes_and_gaps_make_one_series() -> None:
    parts: list[tuple[int, np.ndarray]] = []
    for rows, values in (
        (slice(10, 13), [1.0, np.nan, 3.0]),
        (slice(10, 13), [1.0, np.nan, 4.0]),
        (np.array([20, 22]), [5.0, 6.0]),
        (slice(12, 14), [1.0, 7.0]),
    ):
        part = dense(rows, np.array(values))
        assert part is not None
        note(parts, part)
    assert len(parts) == 3
    one = PodSeries.of("p", parts)
    assert one.first == 10
    np.testing.assert_array_equal(one.values, [1, np.nan, 4, 7, *[np.nan] * 6, 5, np.nan, 6])
    assert dense(slice(0, 2), np.array([np.nan, np.nan])) is None


def test_the_spread_names_the_largest_the_median_and_what_is_left_over() -> None:
    found = spread({"db-0": 3.0, "db-1": 0.1, "db-2": 0.2})
    assert found is not None
    assert (found.pods, found.largest_pod, found.largest, found.median) == (3, "db-0", 3.0, 0.2)
    assert found.spare == pytest.approx(5.7)
    both = spread({"a": 1.0, "b": 0.25})
    assert both is not None
    assert both.median == 0.25
    assert spread({"a": 1.0}) is None
