"""The loop: what is read, what a Prometheus that is away means, clocks that jump, models that change."""

from __future__ import annotations

import threading
from datetime import timedelta

import numpy as np
import pytest

from mora.health.board import Board, Status
from mora.health.model import HealthModel
from mora.health.watch import Watcher
from tests.health.watching import AWAY, CART, FRONT, METRICS, START, STEP, Clock, Lines, Samples, Store, trained, usual


class Stage:
    """A watcher of two services, its source and its clock. From row 200 on, the frontend uses eight times the CPU."""

    def __init__(self, *, detector: str = "robust-z", threshold: str = "quantile") -> None:
        front = usual(2000, seed=2)
        front.loc[200:219, "cpu_cores_value"] *= 8
        self.samples = Samples({FRONT: front, CART: usual(2000, seed=3)})
        self.store = Store([FRONT, CART], detector, threshold)
        self.board, self.log, self.clock = Board(), Lines(), Clock(START + 100 * STEP + timedelta(seconds=40))
        self.watcher = Watcher(self.store, self.samples, self.board, log=self.log, now=self.clock)

    def look(self, steps: int = 1) -> None:
        """Look once a step."""
        for _ in range(steps):
            self.clock.move(STEP)
            self.watcher.tick()

    def status(self, key: tuple[str, str] = FRONT) -> Status:
        """What is known of a service now."""
        return self.board.shown().statuses[key].as_of(self.clock())


def test_a_look_reads_what_is_new_and_nothing_twice() -> None:
    stage = Stage()
    stage.look()
    first = stage.samples.rows
    assert stage.status().reading is not None
    stage.look(50)
    assert stage.samples.rows - first == 50 * 2
    stage.watcher.tick()  # within the same step
    assert stage.samples.rows - first == 50 * 2
    assert stage.store.loads == 2


def test_a_fault_is_seen_at_its_service_and_logged_once_with_its_metric() -> None:
    stage = Stage()
    stage.look(110)
    status = stage.status()
    assert (status.state, stage.status(CART).state, status.alarms) == ("abnormal", "healthy", 1)
    assert status.since == START + 200 * STEP
    assert next(iter(status.reading.contributions)) == "cpu_cores_value" if status.reading else False
    alarms = [about for _, text, about in stage.log.of if text == "abnormal" and about["service"] == "frontend"]
    assert [(about["metric"], about["at"]) for about in alarms] == [("cpu_cores_value", "2026-11-02T03:20:00Z")]
    stage.look(20)
    assert stage.status().state == "healthy"
    assert "healthy" in stage.log.texts()


def test_while_prometheus_is_away_for_ten_minutes_every_verdict_is_unknown_and_nothing_is_lost() -> None:
    stage, through = Stage(), Stage()
    stage.look(95)
    through.look(110)
    stage.samples.away = AWAY
    stage.look(3)
    stage.look(7)
    for key in (FRONT, CART):
        status = stage.status(key)
        assert status.state == "unknown"
        assert status.problem is not None
        assert "Connection refused" in status.problem
    assert stage.board.shown().problem_since == START + 196 * STEP + timedelta(seconds=40)
    assert stage.log.texts().count("services cannot be read") == 1
    stage.samples.away = None
    stage.look(5)
    assert "all services can be read again" in stage.log.texts()
    # What Prometheus kept meanwhile is scored, too: the fault began while it was away.
    for key in (FRONT, CART):
        assert stage.status(key) == through.status(key)
    assert stage.status().since == START + 200 * STEP


def test_what_is_refused_of_one_service_does_not_hold_up_the_others() -> None:
    stage = Stage()
    stage.samples.refused.add(FRONT)
    stage.look(10)
    assert (stage.status().state, stage.status(CART).state) == ("unknown", "healthy")
    problem = stage.status().problem
    assert problem is not None
    assert "Connection refused" in problem
    assert stage.status(CART).problem is None
    assert stage.board.shown().problem is not None
    stage.samples.refused.clear()
    stage.look()
    assert stage.status().state == "healthy"
    assert stage.board.shown().problem is None


def test_a_service_that_is_sick_at_the_first_look_is_logged() -> None:
    stage = Stage()
    stage.clock.at = START + 210 * STEP
    stage.look()
    assert [about["service"] for _, text, about in stage.log.of if text == "abnormal"] == ["frontend"]
    assert stage.log.texts() == ["abnormal"]


def test_a_verdict_goes_stale_by_itself_where_no_look_follows() -> None:
    stage = Stage()
    stage.look()
    assert stage.status().state == "healthy"
    stage.clock.move(timedelta(minutes=4))
    status = stage.status()
    assert status.state == "unknown"
    assert status.problem is not None
    assert status.problem.startswith("There is no sample since")


def test_a_service_that_prometheus_no_longer_knows_is_unknown_and_the_others_go_on() -> None:
    stage = Stage()
    stage.look()
    gone = stage.samples.of.pop(CART)
    stage.look(2)
    assert (stage.status(CART).state, stage.status().state) == ("unknown", "healthy")
    problem = stage.status(CART).problem
    assert problem is not None
    assert "No metric" in problem
    stage.samples.of[CART] = gone
    stage.look(2)
    assert stage.status(CART).state == "healthy"


def test_a_renamed_metric_is_one_that_is_not_known() -> None:
    stage = Stage()
    stage.samples.of[CART] = stage.samples.of[CART].rename(columns={name: f"new_{name}" for name in METRICS})
    stage.look()
    assert stage.status(CART).state == "unknown"


@pytest.mark.parametrize("back", [timedelta(minutes=3), timedelta(days=2)])
def test_a_clock_that_goes_back_is_logged_and_the_services_are_read_anew(back: timedelta) -> None:
    stage = Stage()
    stage.look(10)
    stage.clock.move(-back)
    stage.watcher.tick()
    assert "the clock went back: every service is read anew" in stage.log.texts()
    assert stage.status().state == ("healthy" if back < timedelta(hours=1) else "unknown")
    stage.clock.move(back)
    stage.look(5)
    assert stage.status().state == "healthy"


def test_a_clock_that_jumps_ahead_reads_no_more_than_a_score_depends_on() -> None:
    stage = Stage()
    stage.look()
    rows = stage.samples.rows
    stage.clock.move(timedelta(days=365))
    stage.look()
    assert stage.samples.rows - rows <= 2 * 100
    assert stage.status().state == "unknown"
    stage.clock.move(-timedelta(days=365))
    stage.look(3)
    assert stage.status().state == "healthy"


def test_a_model_that_cannot_be_read_is_unknown_with_the_reason_and_taken_once_it_can() -> None:
    stage = Stage()
    stage.store.broken.add(CART)
    stage.look()
    assert (stage.status(CART).state, stage.status().state) == ("unknown", "healthy")
    assert stage.status(CART).problem == "The detector is torn. Train it again."
    stage.look(10)
    assert stage.log.texts().count("a model cannot be read") == 1
    stage.store.broken.clear()
    stage.store.trained[CART] = 2
    stage.look(6)
    assert stage.status(CART).state == "healthy"


def test_a_model_that_was_trained_again_takes_over_and_one_that_was_removed_is_forgotten() -> None:
    stage = Stage()
    stage.look(10)
    stage.store.trained[FRONT] = 1
    stage.look(6)
    assert stage.store.loads == 3
    assert stage.status().state == "healthy"
    stage.store.keys = [FRONT]
    stage.look(6)
    assert CART not in stage.board.shown().statuses
    gone = [about["service"] for _, text, about in stage.log.of if text == "no longer watched: its detector is gone"]
    assert gone == ["cart"]


def test_a_torn_new_model_leaves_the_one_before_in_place() -> None:
    stage = Stage()
    stage.look()
    stage.store.broken.add(FRONT)
    stage.store.trained[FRONT] = 1
    stage.look(6)
    assert stage.status().state == "healthy"
    assert "a model cannot be read" in stage.log.texts()


@pytest.mark.parametrize("threshold", ["quantile", "tracking"])
def test_two_watchers_that_began_at_other_times_say_the_same(threshold: str) -> None:
    one, other = (Stage(detector="context-distance", threshold=threshold) for _ in range(2))
    one.look(150)
    other.clock.at = one.clock.at - 5 * STEP
    other.look(5)
    for key in (FRONT, CART):
        first, second = one.status(key), other.status(key)
        assert first.state == second.state
        assert first.reading is not None
        assert second.reading is not None
        assert first.reading.score == pytest.approx(second.reading.score, rel=1e-3)


def test_ten_thousand_services_are_one_board() -> None:
    front = usual(300, seed=2)
    keys = [(f"space-{number % 50:02}", f"service-{number:05}") for number in range(10_000)]
    shared = trained()
    shared.detector.score = lambda frame: np.zeros(len(frame))  # type: ignore[method-assign]  # what it costs is not tested here

    class Many(Store):
        def load(self, key: tuple[str, str]) -> HealthModel:
            return shared

    board, clock = Board(), Clock(START + 100 * STEP)
    watcher = Watcher(Many(keys), Samples(dict.fromkeys(keys, front)), board, log=Lines(), now=clock)
    watcher.tick()
    assert len(board.shown().find(state="healthy", now=clock())) == 10_000
    assert len(board.shown().find(namespace="space-07", now=clock())) == 200


def test_a_bug_in_one_service_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.look()
    broken = stage.watcher._watched[CART].monitor

    def fail(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(broken.detector, "score", fail)
    stage.look()
    assert (stage.status(CART).state, stage.status().state) == ("unknown", "healthy")
    assert "a service cannot be scored" in stage.log.texts()


def test_the_loop_outlives_a_look_that_fails_and_ends_when_asked() -> None:
    stage, is_over = Stage(), threading.Event()
    stage.clock.at = START + timedelta(seconds=4.9)  # a moment before the next look is due
    calls = []

    def versions() -> dict[tuple[str, str], str]:
        calls.append(1)
        if len(calls) >= 2:
            is_over.set()
        raise RuntimeError("a disk that is away")

    stage.store.versions = versions  # type: ignore[method-assign]
    stage.watcher.run(is_over)
    assert len(calls) == 2
    assert "a look failed: this is a bug in MOrA" in stage.log.texts()
