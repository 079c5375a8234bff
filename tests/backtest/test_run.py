"""A run over many series: the same whatever runs its pieces, kept, and gone on with where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from mora.backtest import run as running
from mora.backtest.policy import Decisions, Floats, NamedRule, Resource, Series, policy_names
from mora.backtest.render import render_csv, render_json, render_table
from mora.backtest.renewing import Renewal
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, Done, Kept, Task, one_by_one, run
from mora.backtest.scoring import Score
from mora.changes.rule import ChangeRule
from mora.errors import BadInput, MoraError, NotEnoughData
from tests.backtest.making import START, bumpy

DAY = 86400
SERIES = (bumpy("a", seed=1), bumpy("b", seed=2, has_memory=False), bumpy("c", seed=3, days=12))
PLAIN = ("krr", "vpa", "p99", "peak", "last")
SETTINGS = BacktestSettings((*PLAIN, ORACLE), warmup_seconds=10 * DAY, with_minimums=False)


class Counting:
    """Workers that note what they were asked for, and may be stopped after so many tasks."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[Task] = []
        self._stop_after = stop_after

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Done]:
        for task in tasks:
            if len(self.asked) == self._stop_after:
                raise KeyboardInterrupt
            self.asked.append(task)
            yield running.run_task(task)


class Noting:
    """A reporter that notes how far it went."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.notes: list[str] = []

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        self.seen.append((done, total))
        self.notes.append(note)


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return run(SERIES, SETTINGS)


def test_every_policy_is_scored_on_every_series_that_has_the_resource(backtest: Backtest) -> None:
    assert list(backtest.scores) == [*PLAIN, ORACLE]
    for scores in backtest.scores.values():
        assert (scores["cpu"].series, scores["mem"].series) == (3, 2)
    assert backtest.skipped == {"cpu": 0, "mem": 0}


def test_no_rule_of_one_number_a_window_costs_less_than_the_oracle(backtest: Backtest) -> None:
    for resource in ("cpu", "mem"):
        costs = {name: scores[resource].cost for name, scores in backtest.scores.items()}
        assert min(costs, key=lambda name: costs[name]) == ORACLE


def test_idle_series_are_skipped_and_counted() -> None:
    idle = Series("idle", 3600, START, np.zeros(20 * 24), None)
    found = run((*SERIES, idle), SETTINGS)
    assert found.skipped == {"cpu": 1, "mem": 0}
    assert found.scores["krr"]["cpu"] == run(SERIES, SETTINGS).scores["krr"]["cpu"]


def test_a_resource_that_no_series_has_is_missing() -> None:
    found = run((SERIES[1],), SETTINGS)
    assert {tuple(scores) for scores in found.scores.values()} == {("cpu",)}


def test_the_order_of_the_work_changes_nothing(backtest: Backtest) -> None:
    def backwards(tasks: Sequence[Task]) -> Iterable[Done]:
        return one_by_one(list(reversed(tasks)))

    assert run(SERIES, SETTINGS, workers=backwards).scores == backtest.scores


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, backtest: Backtest) -> None:
    kept = Kept(tmp_path)
    stopped, resumed, again = Counting(stop_after=11), Counting(), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(SERIES, SETTINGS, workers=stopped, kept=kept)
    assert run(SERIES, SETTINGS, workers=resumed, kept=kept).scores == backtest.scores
    assert (len(stopped.asked), len(resumed.asked)) == (11, 30 - 11)
    assert run(SERIES, SETTINGS, workers=again, kept=kept).scores == backtest.scores
    assert again.asked == []
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


def test_a_torn_result_is_computed_again(tmp_path: Path, backtest: Backtest) -> None:
    kept = Kept(tmp_path)
    run(SERIES, SETTINGS, kept=kept)
    torn = sorted(tmp_path.rglob("*.npy"))[4]
    torn.write_bytes(torn.read_bytes()[:40])
    again = Counting()
    assert run(SERIES, SETTINGS, workers=again, kept=kept).scores == backtest.scores
    assert len(again.asked) == 1


def test_other_data_and_other_settings_are_other_results(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    run(SERIES[:1], SETTINGS, kept=kept)
    for series, settings in (
        (bumpy("a", seed=9), SETTINGS),
        (SERIES[0], BacktestSettings(SETTINGS.policies, warmup_seconds=9 * DAY, with_minimums=False)),
        (SERIES[0], BacktestSettings(SETTINGS.policies, warmup_seconds=10 * DAY, with_minimums=True)),
    ):
        asked = Counting()
        run((series,), settings, workers=asked, kept=kept)
        assert len(asked.asked) == 2 * len(PLAIN)


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for horizon in range(1, 14):
        settings = BacktestSettings(("last",), horizon_seconds=horizon * 3600, warmup_seconds=10 * DAY)
        run(SERIES[:1], settings, kept=kept)
        kept.make_room()
    assert len(list(tmp_path.iterdir())) == 10


def test_progress_reaches_its_end_and_shows_the_time_left() -> None:
    reporter = Noting()
    ticks = iter(range(0, 10_000, 60))
    run(SERIES[:1], BacktestSettings(PLAIN, warmup_seconds=10 * DAY), reporter=reporter, clock=lambda: next(ticks))
    assert reporter.seen[-1][0] == reporter.seen[-1][1] > 0
    # Ten equal tasks, a minute each.
    assert reporter.notes[1:4] == ["krr cpu, 9m left", "krr mem, 8m left", "vpa cpu, 7m left"]
    assert reporter.notes[-1] == "last mem, 0s left"


def test_a_rule_that_learns_over_all_series_gets_them_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def everyone(series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        return [np.full(len(at), float(len(series))) for at in decisions.at]

    def load(name: str) -> NamedRule:
        return NamedRule(name, everyone)

    monkeypatch.setattr(running, "load_policy", load)
    settings = BacktestSettings(("last",), warmup_seconds=10 * DAY)
    asked = Counting()
    found = run(SERIES, settings, workers=asked, kept=Kept(tmp_path))
    assert [len(task.series) for task in asked.asked] == [3, 3]
    assert found.reservations["last"]["cpu"][0].tolist() == [3.0] * 10
    # With one series more all of it is asked again, as every answer may rest on the newcomer.
    more = Counting()
    run((*SERIES, bumpy("d", seed=4)), settings, workers=more, kept=Kept(tmp_path))
    assert [len(task.series) for task in more.asked] == [4, 4]


def test_a_rule_that_gives_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        return [np.full(len(at), np.nan) for at in decisions.at]

    def load(name: str) -> NamedRule:
        return NamedRule(name, nothing)

    monkeypatch.setattr(running, "load_policy", load)
    with pytest.raises(MoraError, match="'last' gives no usable cpu reservation for series 'a'"):
        run(SERIES, BacktestSettings(("last",), warmup_seconds=10 * DAY))


def test_what_is_too_short_or_unknown_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="the longest is 20d"):
        run(SERIES, BacktestSettings(("last",), warmup_seconds=20 * DAY))
    with pytest.raises(BadInput, match="shorter than the step of series 'a', 1h"):
        run(SERIES, BacktestSettings(("last",), horizon_seconds=600))
    with pytest.raises(BadInput, match="no policy 'nonesuch'"):
        BacktestSettings(("nonesuch",))


def test_units_that_are_none_of_ours_are_remarked() -> None:
    tiny = Series("tiny", 3600, START, np.full(480, 0.4), np.full(480, 0.5))
    settings = BacktestSettings(("last",), warmup_seconds=10 * DAY)
    cores, memory = run((tiny,), settings).remarks()
    assert "--cpu-scale 10" in cores
    assert "--mem-scale 1e10" in memory
    assert run((tiny,), settings).remarks(are_units_sure=True) == []
    (short,) = run((bumpy("a", days=9), bumpy("b")), settings).remarks()
    assert short.startswith("1 of 2 series end before the first window does")


def test_the_json_has_its_documented_fields(backtest: Backtest) -> None:
    document = json.loads(render_json(backtest))
    assert list(document) == ["schema_version", "horizon", "warmup", "series", "skipped", "renewal", "results"]
    assert (document["horizon"], document["warmup"], document["series"]) == ("24h", "10d", 3)
    assert list(document["results"]) == [*PLAIN, ORACLE]
    for scores in document["results"].values():
        assert list(scores) == ["cpu", "mem"]
        for score in scores.values():
            assert list(score) == [
                "series",
                "reserved_per_used",
                "reserved_per_used_median",
                "samples_exceeded",
                "windows_exceeded",
                "unmet",
                "cost",
                "changes_per_day",
                "cost_with_changes",
            ]


def test_the_csv_has_a_line_for_each_policy_and_resource(backtest: Backtest) -> None:
    head, *lines = render_csv(backtest).splitlines()
    assert head.split(",") == ["policy", "resource", *(field.name for field in fields(Score))]
    assert len(lines) == 2 * len(backtest.scores)
    assert lines[0].startswith("krr,cpu,3,")


def test_the_table_sets_waste_beside_the_better_peer(backtest: Backtest) -> None:
    table = render_table(backtest)
    waste = {line.split()[0]: line.split()[-1] for line in table.split("\n\n")[0].splitlines()[2:]}
    assert "1.000" in (waste["krr"], waste["vpa"])
    assert "CPU: 3 series, horizon 24h, warm-up 10d" in table
    assert "memory: 2 series" in table


def test_every_registered_policy_can_be_asked_for() -> None:
    assert set(PLAIN) <= set(policy_names())


def test_a_change_rule_is_followed_by_every_policy_but_the_oracle() -> None:
    every = BacktestSettings((*PLAIN, ORACLE), warmup_seconds=10 * DAY, with_minimums=False)
    ruled = replace(every, renewal=Renewal(rule=ChangeRule(0.3, 0.3, usual_share=0.0)))
    plain, found = run(SERIES[:2], every), run(SERIES[:2], ruled)
    for name in PLAIN:
        assert found.scores[name]["cpu"].changes_per_day <= plain.scores[name]["cpu"].changes_per_day
        for wanted, set_ in zip(found.wanted[name]["cpu"], found.reservations[name]["cpu"], strict=True):
            known = ~np.isnan(wanted)
            assert (np.abs(wanted[known] / set_[known] - 1) < 0.3 + 1e-9).all()
        assert all(map(np.array_equal, found.wanted[name]["cpu"], plain.reservations[name]["cpu"]))
    assert found.scores[ORACLE] == plain.scores[ORACLE]


def test_numbers_cannot_be_renewed_less_than_once_a_horizon_or_faster_than_the_samples_come() -> None:
    with pytest.raises(BadInput, match="right for 1h cannot be renewed every 2h"):
        BacktestSettings(("last",), horizon_seconds=3600, renewal=Renewal(7200))
    with pytest.raises(BadInput, match="time between renewals of 15m is shorter than the step") as refused:
        run(SERIES, BacktestSettings(("last",), renewal=Renewal(900)))
    assert refused.value.hint == "Use --renew 1h or more."


def test_a_rule_that_states_its_confidence_is_followed_by_it_and_so_it_is_kept(tmp_path: Path) -> None:
    plain = BacktestSettings(("mora", "krr"), 6 * 3600, 10 * DAY, renewal=Renewal(rule=ChangeRule(0.1, 0.1)))
    unsure = replace(plain, renewal=Renewal(rule=ChangeRule(0.1, 0.1, low_confidence_step=1.0)))
    found, without = run(SERIES[1:2], unsure, kept=Kept(tmp_path)), run(SERIES[1:2], plain)
    (stated,) = found.confidence["mora"]["cpu"]
    assert ((stated > 0.5) & (stated <= 1)).all()
    assert "cpu" not in found.confidence["krr"]
    (own,), (other,) = found.reservations["mora"]["cpu"], without.reservations["mora"]["cpu"]
    assert own.mean() > other.mean()
    assert found.reservations["krr"]["cpu"][0].tolist() == without.reservations["krr"]["cpu"][0].tolist()
    again, counting = Kept(tmp_path), Counting()
    kept = run(SERIES[1:2], unsure, kept=again, workers=counting)
    assert counting.asked == []
    assert kept.reservations["mora"]["cpu"][0].tolist() == own.tolist()
