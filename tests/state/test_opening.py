"""A state folder: two writers, kill -9, damage, other versions, other programs, other clusters, a clock set back."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mora.domain import Workload
from mora.errors import BadInput, MoraError, StateUnusable
from mora.state.blocks import Samples
from mora.state.opening import FILE, check_clock, check_cluster, opened
from mora.state.store import Answered, Question, Store

WEB = Workload("shop", "web")
CPU = Question("cpu", 300.0)


def put(store: Store, rows: range, value: float = 1.0) -> None:
    series = Samples({"pod": "web-0"}, np.array(rows), np.full(len(rows), value))
    answered = Answered(rows[0], rows[-1], {"web-0": rows[-1]}, {series.name: series})
    store.put(WEB, CPU, answered, [(rows[0], rows[-1])])
    store.commit(rows[-1] * CPU.step)


def rows_of(store: Store, first: int = 0, last: int = 10_000) -> list[int]:
    found = store.answered([WEB], CPU, first, last)
    return [int(row) for answered in found.values() for one in answered.series.values() for row in one.rows]


def test_a_killed_writer_leaves_what_was_written_whole_and_the_lock_to_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from mora.state.opening import opened\n"
        "from tests.state.test_opening import put, WEB, CPU\n"
        "with opened(pathlib.Path(sys.argv[1]), say=print) as store:\n"
        "    put(store, range(100))\n"
        "    with store._writing() as run:\n"
        "        run.execute('DELETE FROM block')\n"
        "        run.execute('PRAGMA cache_spill = 1')\n"
        "        print('written', flush=True)\n"
        "        sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "written\n"
    said: list[str] = []
    with pytest.raises(MoraError, match=rf"Another run is writing to the state in .* \(process {process.pid}\)"):  # noqa: SIM117
        with opened(tmp_path, say=said.append, wait_seconds=0.2):
            pass
    assert said == [
        f"Another run is writing to the state in {tmp_path} (process {process.pid}): waiting until it is done."
    ]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    with opened(tmp_path, say=said.append) as store:
        assert rows_of(store) == list(range(100))
    assert len(said) == 1


def test_the_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from mora.state.opening import opened\n"
        "with opened(pathlib.Path(sys.argv[1]), say=print):\n"
        "    print('has it', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    let_go = process.stdin.close  # told that we wait, it ends
    with opened(tmp_path, say=lambda words: let_go()) as store:
        assert rows_of(store) == []
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("damage", ["overwritten", "cut short", "an older version"])
def test_a_state_that_is_of_no_use_is_moved_aside_and_told(tmp_path: Path, damage: str) -> None:
    with opened(tmp_path, say=print) as store:
        put(store, range(3000))
    path = tmp_path / FILE
    if damage == "an older version":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
        connection.close()
    else:
        whole = path.read_bytes()
        path.write_bytes(b"x" * len(whole) if damage == "overwritten" else whole[: len(whole) // 2])
    said: list[str] = []
    with opened(tmp_path, say=said.append) as store:
        assert rows_of(store) == []
        put(store, range(5))
        assert rows_of(store) == [0, 1, 2, 3, 4]
    assert len(said) == 1
    assert "everything is read from the source again" in said[0]
    assert ("older MOrA" if damage == "an older version" else "damaged") in said[0]
    assert (tmp_path / f"{FILE}.aside").exists()


@pytest.mark.parametrize("damage", ["block SET body = substr(body, 1, 12)", "answered SET pods = '[1]'"])
def test_a_row_that_is_damaged_is_an_error_that_says_what_to_do(tmp_path: Path, damage: str) -> None:
    with opened(tmp_path, say=print) as store:
        put(store, range(10))
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"UPDATE {damage}")
    connection.commit()
    connection.close()
    with opened(tmp_path, say=print) as store, pytest.raises(MoraError, match="cannot be used") as raised:
        rows_of(store)
    assert "Delete the folder" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("pragma", "words"),
    [("user_version = 99", "newer MOrA"), ("application_id = 7", "another program's database")],
)
def test_what_a_newer_mora_or_another_program_wrote_stays_as_it_is(tmp_path: Path, pragma: str, words: str) -> None:
    with opened(tmp_path, say=print) as store:
        put(store, range(10))
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"PRAGMA {pragma}")
    connection.commit()
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(MoraError, match=words):  # noqa: SIM117
        with opened(tmp_path, say=print):
            pass
    assert (tmp_path / FILE).read_bytes() == before


def test_a_link_in_place_of_the_file_or_the_lock_is_refused(tmp_path: Path) -> None:
    for name in (FILE, "lock"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(MoraError, match="link"):  # noqa: SIM117
            with opened(folder, say=print):
                pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "state", tmp_path / "file"):
        with pytest.raises(StateUnusable):  # noqa: SIM117
            with opened(folder, say=print):
                pass


def test_a_state_is_of_one_cluster(tmp_path: Path) -> None:
    with opened(tmp_path, say=print) as store:
        check_cluster(store, "", "http://one")
        check_cluster(store, "kube-system made at 1", "http://one")
        check_cluster(store, "", "http://one")
        with pytest.raises(BadInput, match=r"of another cluster than the one behind http://other"):
            check_cluster(store, "kube-system made at 2", "http://other")


def test_a_clock_that_is_behind_has_a_note(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path, say=print) as store:
        check_clock(store, 0.0, said.append)
        put(store, range(100))
        check_clock(store, 99 * 300.0, said.append)
        assert said == []
        check_clock(store, 75 * 300.0, said.append)
    assert said == [
        f"The clock is 2h behind that of the run that wrote the state in {tmp_path}: samples from later are kept, and "
        "not used."
    ]
