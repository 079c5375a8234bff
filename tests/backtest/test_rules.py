"""The rules of others give the figures that their sources say they give (FIELD.md 1.1, 1.2, 1.4)."""

from __future__ import annotations

import numpy as np
import pytest

from mora.backtest.policy import Floats, Resource, Series, decide
from mora.backtest.rules import krr, last, p99, peak, round_up, vpa
from mora.quantities import MIB
from tests.backtest.making import START, bumpy, steady

DAY = 86400


def reservations(
    rule: object, one: Series, resource: Resource, *, warmup_days: int = 15, minimums: bool = False
) -> Floats:
    decisions = decide([one], horizon_seconds=DAY, warmup_seconds=warmup_days * DAY, with_minimums=minimums)
    (found,) = rule([one], resource, decisions)  # type: ignore[operator]  # any of the rules
    return np.asarray(found)


def samples(resource: Resource, values: Floats, step_seconds: int = 3600) -> Series:
    nothing = None
    return Series(
        "s", step_seconds, START, values if resource == "cpu" else nothing, None if resource == "cpu" else values
    )


def test_krr_takes_the_p95_of_two_weeks_and_a_margin_on_the_peak_of_memory() -> None:
    one = bumpy(gaps=0.0)
    assert one.cpu is not None
    assert one.mem is not None
    at, window = 15 * 24, 336
    known = one.cpu[at - window : at]
    assert reservations(krr, one, "cpu")[0] == pytest.approx(np.quantile(known[~np.isnan(known)], 0.95))
    assert reservations(krr, one, "mem")[0] == pytest.approx(1.15 * one.mem[at - window : at].max())


def test_krr_forgets_what_is_older_than_two_weeks() -> None:
    values = np.full(20 * 24, 1e9)
    values[0] = 9e9
    found = reservations(krr, samples("mem", values), "mem", warmup_days=14)
    assert found[0] == pytest.approx(1.15 * 9e9)
    assert found[1] == pytest.approx(1.15 * 1e9)


def test_krr_rounds_up_and_has_minimums() -> None:
    tiny = steady(0.002, memory=20.0 * MIB)
    assert reservations(krr, tiny, "cpu", minimums=True)[0] == pytest.approx(0.010)
    assert reservations(krr, tiny, "mem", minimums=True)[0] == 100 * MIB
    assert reservations(krr, tiny, "cpu")[0] == pytest.approx(0.002)
    larger = steady(0.0371, memory=200.5 * MIB)
    assert reservations(krr, larger, "cpu", minimums=True)[0] == pytest.approx(0.038)
    assert reservations(krr, larger, "mem", minimums=True)[0] == 231 * MIB


@pytest.mark.parametrize(("use", "reserved"), [(0.1, 0.126805)])
def test_vpa_cpu_reference(use: float, reserved: float) -> None:
    assert reservations(vpa, steady(use, step_seconds=300), "cpu", minimums=True)[0] == pytest.approx(
        reserved, rel=1e-5
    )


@pytest.mark.parametrize(("use_mib", "reserved_mib"), [(200, 250.0), (500, 599.57)])
def test_vpa_memory_reference(use_mib: float, reserved_mib: float) -> None:
    found = reservations(vpa, steady(0.1, memory=use_mib * MIB), "mem", minimums=True)[0]
    assert found / MIB == pytest.approx(reserved_mib, rel=1e-5)


def test_vpa_memory_without_its_minimum() -> None:
    found = reservations(vpa, steady(0.1, memory=200.0 * MIB), "mem")[0]
    assert found / MIB == pytest.approx(236.66, rel=1e-4)


def test_vpa_cpu_follows_what_is_new_within_days() -> None:
    values = np.concatenate([np.full(10 * 24, 1.0), np.full(10 * 24, 3.0)])
    found = reservations(vpa, samples("cpu", values), "cpu", warmup_days=10)
    assert found[0] < 1.3
    # After a day at 3 cores half of the weight is new, so the p90 has moved already.
    assert found[1] > 3.0


def test_vpa_memory_is_of_daily_peaks_of_eight_days() -> None:
    values = np.full(20 * 24, 1e9)
    values[5 * 24 + 3] = 4e9
    found = reservations(vpa, samples("mem", values), "mem", warmup_days=6)
    # On the day after, that peak has half of the weight; it is past the p90 when three newer days outweigh it.
    assert found[0] > 4e9
    assert found[2] > 4e9
    assert found[4] < 1.3e9


def test_vpa_counts_the_unfinished_day_by_its_peak_so_far() -> None:
    values = np.full(20 * 24, 1e9)
    values[-30] = 5e9
    one = samples("mem", values)
    hourly = decide([one], horizon_seconds=3600, warmup_seconds=18 * DAY)
    (found,) = vpa([one], "mem", hourly)
    when = len(values) - 30 - 18 * 24
    assert found[when] < 1.3e9
    assert found[when + 1] > 5e9


def test_p99_peak_and_last_are_what_they_say() -> None:
    one = bumpy(gaps=0.0, seed=3)
    assert one.mem is not None
    week = one.mem[8 * 24 : 15 * 24]
    assert reservations(p99, one, "mem")[0] == pytest.approx(1.15 * np.quantile(week, 0.99))
    assert reservations(peak, one, "mem")[0] == pytest.approx(1.1 * week.max())
    assert reservations(last, one, "mem")[0] == pytest.approx(1.2 * week[-1])


@pytest.mark.parametrize("rule", [krr, vpa, p99, peak, last])
def test_a_gap_longer_than_the_window_keeps_the_last_answer(rule: object) -> None:
    values = np.concatenate([np.linspace(1.0, 2.0, 20 * 24), np.full(20 * 24, np.nan)])
    found = reservations(rule, samples("cpu", values), "cpu", warmup_days=20)
    assert np.isfinite(found).all()
    assert found[-1] == found[0]


def test_rounding_never_goes_down() -> None:
    amounts = np.random.default_rng(2).uniform(0, 5, 1000)
    rounded = round_up(amounts, 0.001)
    assert np.all(rounded >= amounts * (1 - 1e-9))
    assert np.all(rounded - amounts < 0.001)
