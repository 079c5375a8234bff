"""The choice of experiments, against shops whose knee is known: no cluster, no load, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.capacity import Trial, Use, bracket, capacity_of
from mora.domain import Slo
from mora.errors import MoraError
from mora.harness.adaptive import check_first, expected_cells, next_cell
from mora.harness.plan import Adaptive, Cell

AIM = Adaptive()
Shop = Callable[[Cell], Trial]


def shop(
    knee: float,
    *,
    cpu_per_user: float | None = 0.004,
    limit: float | None = 0.18,
    doubt: float = 0.0,
    floor: float = 0.01,
) -> Shop:
    """A shop that breaks 300 ms at so many users a pod; its p95 is known within `doubt` of itself."""

    def drive(cell: Cell) -> Trial:
        share = cell.users / cell.replicas
        p95 = max(floor, 0.3 * (share / knee) ** 5)
        cpu = 0.0 if cpu_per_user is None else cpu_per_user * share
        uses = {"frontend": Use(min(cpu, limit) if limit else cpu, limit)}
        interval = (p95 * (1 - doubt), p95 * (1 + doubt))
        return Trial(cell.scenario, cell.users, cell.replicas, 1, float(cell.users), p95, interval, 0.0, uses)

    return drive


def search(drive: Shop, aim: Adaptive = AIM) -> tuple[list[Cell], list[Trial]]:
    """All experiments of a scenario, with repeats merged."""
    cells: list[Cell] = []
    tried: list[Trial] = []
    while (cell := next_cell(aim, "browsing", tried)) is not None:
        assert cell not in cells
        cells.append(cell)
        again = [t for t in tried if (t.users, t.replicas) == (cell.users, cell.replicas)]
        new = drive(cell)
        if again:
            tried.remove(again[0])
            new = Trial(**{**{f: getattr(new, f) for f in Trial.__dataclass_fields__}, "repeats": again[0].repeats + 1})
        tried = sorted([*tried, new], key=lambda t: (t.users_per_pod, t.replicas))
        assert len(cells) < 20
    return cells, tried


@given(knee=st.floats(15, 120))
def test_the_knee_is_bracketed_within_ten_percent_in_at_most_eight_runs(knee: float) -> None:
    cells, tried = search(shop(knee))
    found = bracket([t for t in tried if t.replicas == 1], AIM.slo)
    assert len(cells) <= AIM.max_runs
    assert found.kept is not None
    assert found.broken is not None
    assert found.kept.users <= knee <= found.broken.users
    if 30 <= knee <= 80:  # within the reach of the prediction (53 users)
        assert found.ratio <= 1.1 + 1e-9


def test_the_first_run_is_long_and_the_others_are_short_around_the_predicted_knee() -> None:
    cells, _ = search(shop(52))
    assert [(cell.users, cell.replicas, cell.duration) for cell in cells[:3]] == [
        (10, 1, None),
        (45, 1, AIM.below),
        (61, 1, AIM.short),
    ]
    assert cells[-1].replicas == 2
    assert len(cells) == 6


def test_the_last_run_gives_two_replicas_what_replicas_are_sized_for() -> None:
    cells, tried = search(shop(52))
    single = [t for t in tried if t.replicas == 1]
    sized = capacity_of(single, "browsing", AIM.slo, target_utilisation=0.7).sized_users
    assert sized is not None
    assert cells[-1].users == round(2 * sized)
    assert all(cell.replicas == 1 for cell in search(shop(52), Adaptive(check_replicas=1))[0])


def test_without_a_cpu_limit_the_load_is_doubled() -> None:
    cells, _ = search(shop(70, limit=None))
    assert [cell.users for cell in cells[:4]] == [10, 20, 40, 80]


def test_a_service_without_cpu_use_is_searched_by_doubling_too() -> None:
    cells, _ = search(shop(30, cpu_per_user=None))
    assert [cell.users for cell in cells[:3]] == [10, 20, 40]


def test_a_shop_slower_than_the_first_load_is_searched_below_it() -> None:
    cells, tried = search(shop(4))
    assert cells[1].users == 3
    found = bracket([t for t in tried if t.replicas == 1], AIM.slo)
    assert found.kept is not None
    assert found.kept.users == 4


def test_an_slo_below_the_latency_of_one_user_is_refused_with_the_figure() -> None:
    slow = Adaptive(slo=Slo(0.3, 0.01))
    with pytest.raises(
        MoraError, match=r"No load of browsing can keep the SLO: with one user p95 450ms is over 300ms"
    ) as no:
        search(shop(52, floor=0.45), slow)
    assert "--slo-p95 680ms" in (no.value.hint or "")


def test_a_run_is_repeated_only_where_its_interval_has_the_slo_inside_it() -> None:
    assert all(cell.repeat == 1 for cell in search(shop(50, doubt=0.001))[0])
    cells, _ = search(shop(52, doubt=0.9))
    assert any(cell.repeat == 2 for cell in cells)
    assert len(cells) <= AIM.max_runs


def test_no_run_has_more_users_than_the_plan_allows() -> None:
    cells, _ = search(shop(500, limit=None), Adaptive(max_users=70))
    assert max(cell.users for cell in cells if cell.replicas == 1) == 70


@given(knee=st.floats(11, 300), runs=st.integers(1, 12), limit=st.sampled_from([None, 0.05, 0.18, 2.0]))
def test_a_search_ends_within_its_runs_whatever_the_shop(knee: float, runs: int, limit: float | None) -> None:
    cells, _ = search(shop(knee, limit=limit), Adaptive(max_runs=runs))
    assert len(cells) <= max(runs, 1)


@given(knee=st.floats(15, 120), after=st.integers(0, 8))
def test_a_killed_run_continues_with_the_same_experiment(knee: float, after: int) -> None:
    drive = shop(knee)
    cells, _ = search(drive)
    kept = sorted(map(drive, cells[:after]), key=lambda t: (t.users_per_pod, t.replicas))
    assert next_cell(AIM, "browsing", kept) == (cells[after] if after < len(cells) else None)


def test_what_is_expected_begins_with_what_comes_next() -> None:
    drive = shop(52)
    cells, _ = search(drive)
    for done in range(len(cells)):
        tried = sorted(map(drive, cells[:done]), key=lambda t: (t.users_per_pod, t.replicas))
        expected = expected_cells(AIM, "browsing", tried)
        assert expected[0] == cells[done]
        assert done + len(expected) <= AIM.max_runs
    assert len(expected_cells(AIM, "browsing", ())) == 6


def test_a_scenario_that_sends_nothing_and_a_target_with_errors_only_are_refused() -> None:
    with pytest.raises(MoraError, match="sent no request"):
        check_first(0, None, "browsing")
    with pytest.raises(MoraError, match="with errors only: 100% of 50 requests failed"):
        check_first(50, 1.0, "browsing")
    check_first(50, 0.2, "browsing")


def test_a_step_keeps_its_window_in_samples() -> None:
    assert AIM.short == timedelta(seconds=30)
    assert math.isclose(AIM.within, 0.1)


def test_a_knee_just_below_the_first_broken_load_is_closed_by_one_more_run() -> None:
    cells, tried = search(shop(27.5, cpu_per_user=0.0065))
    assert [cell.users for cell in cells[:-1]] == [10, 28, 26]
    assert bracket([t for t in tried if t.replicas == 1], AIM.slo).ratio < 1.1
