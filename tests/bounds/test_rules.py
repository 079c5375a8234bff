"""The plain rules that are mixed: they scale with use, know only the past, and each names its level."""

from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.carry import Carry
from mora.bounds.levels import Past, count, in_units
from mora.bounds.rules import anchor, cpu_rules, idle_level
from mora.bounds.ticks import Floats, cut
from tests.bounds.making import bumpy


def past_of(use: np.ndarray, *, horizon_seconds: int = 86_400) -> tuple[Past, Floats]:
    """The past of a series, and its first sample above 0, which it is counted in."""
    last = np.array([len(use)])
    carry = Carry()
    ticks = cut(use[None], step_seconds=3600, decisions=last, horizon_seconds=horizon_seconds)
    relative, units = in_units(ticks, carry)
    return count(relative, carry), units


def rules_of(use: np.ndarray, *, horizon_seconds: int = 86_400) -> dict[str, Floats]:
    past, units = past_of(use, horizon_seconds=horizon_seconds)
    return {name: level * units for name, level in cpu_rules(past).items()}


@pytest.mark.parametrize("hours", [1, 24])
def test_the_anchor_is_one_of_the_rules(hours: int) -> None:
    rules = rules_of(bumpy(days=10, step_seconds=3600), horizon_seconds=hours * 3600)
    assert anchor(hours) in rules
    assert len(rules) > 10


@pytest.mark.parametrize("hours", [1, 24])
def test_twice_the_use_gives_twice_the_level_by_every_rule(hours: int) -> None:
    use = bumpy(days=10, step_seconds=3600)
    plain, twice = (rules_of(one, horizon_seconds=hours * 3600) for one in (use, 2 * use))
    for name, level in plain.items():
        assert np.allclose(twice[name], 2 * level, equal_nan=True), name


def test_every_rule_answers_a_constant_use_with_about_that() -> None:
    rules = rules_of(np.full(240, 0.5))
    for name, level in rules.items():
        assert level[-1, 0] == pytest.approx(0.5, rel=0.03), name


def test_a_week_ago_is_remembered_where_yesterday_was_idle() -> None:
    # Two weeks with a busy day each: the coming day is the one that was busy a week ago.
    use = np.full(14 * 24, 0.1)
    use[0:24] = use[7 * 24 : 8 * 24] = 1.0
    rules = rules_of(use)
    assert rules["day p95"][-1, 0] == pytest.approx(0.1, rel=0.03)
    assert rules["p95 a week ago"][-1, 0] == pytest.approx(1.0, rel=0.03)


def test_an_hour_that_is_busy_every_day_is_seen_coming() -> None:
    use = np.full(9 * 24 + 10, 0.1)
    use[10::24] = 1.0
    rules = rules_of(use, horizon_seconds=3600)
    for name in ("usual peak", "usual peak of three days", "last peak or the usual", "last peak and its usual rise"):
        assert rules[name][-1, 0] == pytest.approx(1.0), name
    assert rules["mean of last and usual"][-1, 0] == pytest.approx(0.55)
    assert rules["last peak"][-1, 0] == pytest.approx(0.1)


def test_one_odd_day_in_six_is_not_the_usual() -> None:
    use = np.full(9 * 24 + 10, 0.1)
    use[10 + 24 * 7] = 1.0
    rules = rules_of(use, horizon_seconds=3600)
    assert rules["usual peak"][-1, 0] == pytest.approx(0.1)
    assert rules["last peak or three days'"][-1, 0] == pytest.approx(1.0)


def test_a_rise_is_believed_to_go_on_by_half_and_a_fall_not_to_nothing() -> None:
    rules = rules_of(np.array([1.0, 1.0, 2.0]), horizon_seconds=3600)
    assert rules["last peak and its rise"][1:, 0].tolist() == pytest.approx([1.0, 1.0, 2.5])
    assert rules_of(np.array([10.0, 1.0]), horizon_seconds=3600)["last peak and its rise"][-1, 0] == pytest.approx(0.3)


def test_before_a_day_has_passed_the_usual_is_what_the_last_hours_show() -> None:
    rules = rules_of(bumpy(days=0.9, step_seconds=3600), horizon_seconds=3600)
    for name in ("usual peak", "mean of last and usual", "last peak and its usual rise"):
        np.testing.assert_array_equal(rules[name], rules["fading 6 h p90"])


def test_no_rule_falls_below_a_hundredth_of_the_mean_use() -> None:
    use = np.concatenate([np.full(240, 1.0), np.zeros(240)])
    past, _ = past_of(use)
    floor = idle_level(past)[-1, 0]
    assert floor == pytest.approx(0.005)
    assert min(level[-1, 0] for level in cpu_rules(past).values()) >= floor
