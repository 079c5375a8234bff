from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.errors import MoraError
from mora.record.numbers import Use
from mora.record.outcomes import Outcome
from mora.record.reading import reading
from mora.record.store import Record
from tests.conftest import leave_free
from tests.record.making import DAY, START, key, seen, total


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "record.sqlite"


def test_a_recommendation_is_followed_from_its_first_moment_to_what_became_of_it(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 120)], [])
        record.take("", START + 900, [seen(500, 127)], [])
        record.take("", START + 1800, [seen(130, 130)], [])
        (applied,) = record.in_force("")
    assert (applied.since, applied.amount, applied.key) == (START + 1800, 130, key())
    with reading(path) as record:
        first, second = record.history("shop", "web")
    assert (first.before, first.value, first.after) == (500, 127, 130)
    assert (first.outcome, first.ended_at) == (Outcome.APPLIED, START + 1800)
    assert first.points == ((START, 120), (START + 900, 127))
    assert (second.outcome, second.before, second.is_change) == (Outcome.OPEN, 130, False)


def test_a_step_and_the_goal_behind_it_are_both_applied(path: Path) -> None:
    for name, now in (("step", 500), ("goal", 120)):
        with Record(path) as record:
            record.take("", START, [seen(1000, 500, goal=120, workload=name)], [])
            record.take("", START + 60, [seen(now, now, workload=name)], [])
        with reading(path) as read:
            assert read.history("shop", name)[0].outcome is Outcome.APPLIED


def test_what_was_applied_is_covered_as_long_as_the_use_since_stays_below_it(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 120, number="memory_request")], [])
        record.take("", START + 60, [seen(120, 120, number="memory_request")], [])
        (one,) = record.in_force("")
        for hour, needed, kills in ((1, 100.0, 0), (2, 121.0, 0), (3, 90.0, 0)):
            until_then = START + hour * 3600
            use = Use(one.since, until_then, samples=60, needed=needed, oom_kills=kills)
            record.take("", until_then, [seen(120, 120, number="memory_request")], [], uses={one.episode: use})
            with reading(path) as read:
                covered = read.history("shop", "web")[0].covered
            # Memory that was exceeded once is not covered any more.
            assert covered is (hour == 1)


def test_an_oom_kill_after_a_change_is_not_covered(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 120)], [])
        record.take("", START + 60, [seen(120, 120)], [])
        (one,) = record.in_force("")
        record.take(
            "", START + 99, [seen(120, 120)], [], uses={one.episode: Use(one.since, START + 99, 9, 80.0, oom_kills=1)}
        )
    with reading(path) as read:
        assert (read.history("shop", "web")[0].covered, read.history("shop", "web")[0].oom_kills) == (False, 1)


def test_a_change_to_something_else_is_not_looked_at_further(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 120)], [])
        record.take("", START + 60, [seen(900, 450)], [])
        assert record.in_force("") == []
    with reading(path) as read:
        assert [one.outcome for one in read.history("shop", "web")] == [Outcome.OTHERWISE, Outcome.OPEN]


def test_the_last_answer_outlives_the_process(path: Path) -> None:
    with Record(path) as record:
        assert record.last_answer("") is None
        record.take("", START, [], [], answer=b"first" * 1000)
        record.take("", START + 1, [], [], answer=b"second" * 1000)
        record.failed("", START + 2, "Prometheus does not answer.")
    with Record(path) as record:
        assert record.last_answer("") == (START + 1, b"second" * 1000)
    with reading(path) as read:
        (refresh,) = read.refreshes()
    assert (refresh.at, refresh.succeeded_at, refresh.problem) == (START + 2, START + 1, "Prometheus does not answer.")


def test_what_ended_long_ago_is_forgotten_and_what_is_open_stays(path: Path) -> None:
    with Record(path, keep_days=30) as record:
        for day in range(100):
            setting = 500 if day < 10 else 120
            answers = [seen(setting, 120), seen(300, 200 + day % 2 * 50, workload="moves")]
            answers += [seen(700, 100, workload="gone")] if day < 5 else []
            record.take("", START + day * DAY, answers, [total()], answer=b"x")
        size = path.stat().st_size
    with reading(path) as read:
        (moves,) = read.history("shop", "moves")
        assert moves.first_at == START
        assert len(moves.points) == 31
        assert [one.outcome for one in read.history("shop", "web")] == [Outcome.APPLIED, Outcome.OPEN]
        assert read.history("shop", "gone") == []
        assert len(read.trend()) == 31
    assert size < 200_000


def test_totals_are_thinned_to_one_a_day(path: Path) -> None:
    with Record(path) as record:
        for hour in range(0, 24 * 30, 2):
            record.take("", START + hour * 3600, [], [total(), total("bank")])
    with reading(path) as read:
        trend = read.trend()
    assert len(trend) < 12 * 15 + 20
    assert {one.reserved_cores for one in trend} == {20.0}


@given(
    settings=st.lists(st.integers(min_value=1, max_value=8), min_size=1, max_size=12),
    values=st.lists(st.integers(min_value=1, max_value=8), min_size=12, max_size=12),
)
def test_at_any_time_each_number_has_one_open_recommendation_and_all_its_past(
    tmp_path_factory: pytest.TempPathFactory, settings: list[int], values: list[int]
) -> None:
    path = tmp_path_factory.mktemp("record") / "record.sqlite"
    with Record(path) as record:
        for number, (now, value) in enumerate(zip(settings, values, strict=False)):
            record.take("", START + number, [seen(now * 100, value * 100)], [])
    with reading(path) as read:
        past = read.history("shop", "web")
    changes = sum(one != after for one, after in pairwise(settings))
    assert len(past) == changes + 1
    assert [one.outcome is Outcome.OPEN for one in past] == [False] * changes + [True]
    assert all(one.after == after.before for one, after in pairwise(past))


def test_a_full_disk_loses_nothing_and_the_next_answer_is_recorded_once_there_is_space(small_disk: Path) -> None:
    path = small_disk / "record.sqlite"
    with Record(path) as record:
        record.take("", START, [seen(500, 120)], [total()], answer=b"good")
        leave_free(small_disk, 40_000)
        many = [seen(500, 120, workload=f"w{n}") for n in range(2000)]
        with pytest.raises(MoraError) as refused:
            record.take("", START + 60, many, [total()], answer=os.urandom(600_000))
        assert str(path) in refused.value.message
        assert "space" in (refused.value.hint or "") or "disk" in (refused.value.hint or "")
        assert record.last_answer("") == (START, b"good")
        (small_disk / "fill").unlink()
        record.take("", START + 120, [seen(500, 130)], [total()], answer=b"better")
    with reading(path) as read:
        (one,) = read.history("shop", "web")
        assert (one.first_at, one.last_at) == (START, START + 120)


WRITES = """
import sys, os
from pathlib import Path
from mora.record.store import Record
from tests.record.making import START, seen, total
record = Record(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    names = [f"w{n}" for n in range(200)]
    seens = [seen(500, 100 + number % 50, workload=name) for name in names]
    record.take("", START + number, seens, [total()], answer=b"%d" % number)
    print(number, flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    for kills in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3 + kills):
            said = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Record(path) as record, reading(path) as read:
            last = record.last_answer("")
            assert last is not None
            assert int(last[1]) >= said
            (refresh,) = read.refreshes()
            # What was written together is there together.
            assert refresh.at == last[0] == START + int(last[1])
            assert {one.last_at for one in read.recommended_since(0.0)} == {refresh.at}
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_readers_and_writers_take_turns(path: Path) -> None:
    with Record(path) as record:
        record.take("", START, [seen(500, 100)], [total()])
        failures: list[BaseException] = []
        is_over = threading.Event()

        def read() -> None:
            try:
                while not is_over.is_set():
                    with reading(path) as read:
                        assert len(read.history("shop", "web")) == 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        with Record(path) as other:
            for number in range(60):
                (other if number % 2 else record).take("", START + number, [seen(500, 100)], [total()])
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_the_answer_of_a_hostile_name_is_text_like_any_other(path: Path) -> None:
    name = "x'); DROP TABLE episode; --"
    with Record(path) as record:
        record.take("", START, [seen(500, 120, workload=name, namespace=name)], [total(name)])
    with reading(path) as read:
        assert len(read.history(name, name)) == 1


def test_a_long_record_is_thinned_in_few_steps(path: Path) -> None:
    names, first_hour = [f"team-{number}" for number in range(30)], int(START // 3600)
    with Record(path) as record:
        rows = [
            (hour, name)
            for hour in range(first_hour - 60 * 24, first_hour)
            for name in names
            if hour >= first_hour - 14 * 24 or hour % 24 == 23
        ]
        record._connection.execute("BEGIN")  # without it every row waits for the disk
        record._connection.executemany("INSERT INTO total VALUES ('', ?2, ?1, 1, 1, 1, 1, 1, 1, 1, 0)", rows)
        record._connection.execute("COMMIT")
        steps = []
        record._connection.set_progress_handler(lambda: steps.append(1), 1000)
        record.take("", START, [], [])
        assert record._connection.execute("SELECT count(*) FROM total").fetchone() == (len(rows),)
    assert len(steps) < 2_000
