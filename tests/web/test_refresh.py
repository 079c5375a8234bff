from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mora.errors import MoraError, SourceUnavailable
from mora.record.reading import reading
from mora.record.store import InForce, Record
from mora.web.live import Live
from mora.web.metrics import Telemetry
from mora.web.refresh import Refresher
from tests.conftest import leave_free
from tests.web.making import MADE_AT, Logged, found


class Computing:
    """Gives what it is told to, one after the other; the last again and again."""

    def __init__(self, *outcomes: dict[str, Any] | Exception) -> None:
        self.outcomes, self.applied = list(outcomes), list[list[InForce]]()

    def __call__(self, applied: Iterable[InForce]) -> dict[str, Any]:
        self.applied.append(list(applied))
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return dict(outcome)


def refresher(record: Record, computing: Computing, interval: float = 900.0) -> tuple[Refresher, Live, Logged]:
    live, log = Live(("",), interval), Logged()
    return Refresher("", computing, live, record, interval, log, Telemetry(live), threading.Event()), live, log


def test_an_answer_is_served_recorded_and_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        one, live, log = refresher(record, Computing(found()))
        assert one.refresh()
        served = live.shown().clusters[0].answer
        assert log.wait_for("refreshed")["recorded"] == "yes"
    with Record(path) as record:
        again, live, log = refresher(record, Computing(SourceUnavailable("Prometheus does not answer.")))
        again.restore()
        assert live.shown().clusters[0].answer == served
        assert not again.refresh()
        assert live.shown().clusters[0].answer == served
        assert live.unready() is None
    with reading(path) as read:
        (state,) = read.refreshes()
        assert state.problem == "Prometheus does not answer."
        assert state.succeeded_at == MADE_AT


def test_a_failure_and_a_bug_leave_the_thread_alive_and_are_reported(tmp_path: Path) -> None:
    outcomes = (SourceUnavailable("away", hint="Is it up?"), KeyError("x"), {"version": 99}, found())
    with Record(tmp_path / "record.sqlite") as record:
        one, live, log = refresher(record, Computing(*outcomes), interval=0.01)
        thread = threading.Thread(target=one.run)
        thread.start()
        assert log.wait_for("refresh failed")["error"] == "away"
        assert log.wait_for("refresh failed", 2)["error"] == "This is a bug in MOrA: KeyError: 'x'"
        assert log.wait_for("refresh failed", 3)["error"] == "The answer cannot be read."
        log.wait_for("refreshed", 2)
        one.is_over.set()
        thread.join()
        assert live.shown().clusters[0].problem is None


def test_a_full_disk_costs_the_record_and_not_the_answer(small_disk: Path) -> None:
    with Record(small_disk / "record.sqlite") as record:
        one, live, log = refresher(record, Computing(found(), found(made_at=MADE_AT + 60), found(made_at=MADE_AT + 99)))
        one.refresh()
        leave_free(small_disk, 0)
        one.refresh()
        (cluster,) = live.shown().clusters
        assert cluster.answer is not None
        assert cluster.answer.made_at == MADE_AT + 60
        assert cluster.unrecorded is not None
        assert str(small_disk) in cluster.unrecorded.message
        assert cluster.unrecorded.hint
        assert log.wait_for("not recorded")["error"] == cluster.unrecorded.message
        (small_disk / "fill").unlink()
        one.refresh()
        assert live.shown().clusters[0].unrecorded is None
    with reading(small_disk / "record.sqlite") as read:
        (state,) = read.refreshes()
    assert state.succeeded_at == MADE_AT + 99


def test_an_answer_that_is_not_recorded_stays_so_when_a_later_failure_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        one, live, log = refresher(record, Computing(found(), SourceUnavailable("away"), found()))
        with monkeypatch.context() as patched:
            patched.setattr(Record, "take", lambda *_, **__: (_ for _ in ()).throw(MoraError("The disk is full.")))
            one.refresh()
        one.refresh()
        assert live.shown().clusters[0].unrecorded is not None
        one.refresh()
        assert live.shown().clusters[0].unrecorded is None
        with monkeypatch.context() as patched:
            patched.setattr(Record, "failed", lambda *_, **__: (_ for _ in ()).throw(MoraError("The disk is full.")))
            one.compute = Computing(SourceUnavailable("away"))
            one.refresh()
        assert live.shown().clusters[0].unrecorded is None
        assert log.wait_for("not recorded", 2)["error"] == "The disk is full."


def test_what_was_applied_is_asked_about_and_its_use_is_recorded(tmp_path: Path) -> None:
    first = found()
    later = found(made_at=MADE_AT + 60)
    changed = next(
        entry
        for entry in later["entries"]
        if (advice := entry["document"]["containers"][0]["memory_request_bytes"])["value"] not in (None, advice["now"])
        and not entry["document"]["containers"][0]["is_injected"]
    )
    advice = changed["document"]["containers"][0]["memory_request_bytes"]
    advice["now"] = advice["value"]
    with Record(tmp_path / "record.sqlite") as record:
        computing = Computing(first, later)
        one, live, _ = refresher(record, computing)
        one.refresh()
        one.refresh()
        one.refresh()
        assert computing.applied[:2] == [[], []]
        (applied,) = computing.applied[2]
        assert (applied.key.workload, applied.amount) == (changed["workload"], advice["value"])
        use = {"since": MADE_AT, "until": MADE_AT + 99, "samples": 30, "needed": advice["value"] - 1.0, "oom_kills": 0}
        computing.outcomes = [{**later, "uses": {str(applied.episode): use}}]
        one.refresh()
        assert [found.covered for found in live.shown().clusters[0].applied] == [True]
