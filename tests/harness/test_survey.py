"""How busy a machine is before a run, and what is reported about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mora.harness.host import HostUse, LocalHost, UnknownHost
from mora.harness.survey import Survey, await_quiet, survey
from tests.fakes import FakeClock

QUIET = Survey(0.001, 0.05, HostUse(cores=2, others_cores=0.1))
BUSY = Survey(0.042, 1.7, HostUse(cores=2, others_cores=1.9))


def test_a_busy_machine_is_one_on_which_a_program_like_locust_waits() -> None:
    assert BUSY.is_busy
    assert not QUIET.is_busy
    assert not replace(QUIET, host=BUSY.host).is_busy
    assert replace(QUIET, late_seconds=0.02).is_busy
    assert replace(QUIET, waited_ratio=0.6).is_busy
    assert not Survey(None, None, None).is_busy


def test_it_says_who_uses_the_machine_and_what_that_means() -> None:
    assert str(BUSY) == (
        "other programs use 1.9 of its 2 cores, a program like Locust wakes 42 ms late, "
        "and waits 1.7 s for a CPU in each second of work"
    )


def waited(looks: list[Survey]) -> tuple[bool, list[str], float]:
    said, clock = list[str](), FakeClock()
    began = clock.now()
    quiet = await_quiet(lambda: looks.pop(0), limit=timedelta(seconds=25), say=said.append, clock=clock)
    return quiet, said, (clock.now() - began).total_seconds()


def test_a_quiet_machine_is_used_at_once_without_a_line() -> None:
    assert waited([QUIET]) == (True, [], 0)


def test_a_busy_one_is_named_and_waited_for() -> None:
    quiet, said, seconds = waited([BUSY, BUSY, QUIET])
    assert (quiet, seconds, len(said)) == (True, 20, 1)
    assert said[0].startswith("This machine is busy: other programs use 1.9 of its 2 cores")
    assert said[0].endswith("Waiting up to 25s for a quieter moment ...")


def test_waiting_ends_and_the_run_goes_on_with_a_notice() -> None:
    quiet, said, seconds = waited([BUSY] * 9)
    assert (quiet, seconds, len(said)) == (False, 25, 2)
    assert "is no measurement where that does not help" in said[1]


@pytest.mark.slow
def test_this_machine_is_surveyed_by_a_real_program(tmp_path: Path) -> None:
    found = survey(LocalHost(lambda: []), process_files=[tmp_path / "joined"], seconds=0.3)
    assert (tmp_path / "joined").read_text() == "0"
    assert found.late_seconds is not None
    assert found.late_seconds >= 0
    assert found.waited_ratio is not None
    assert found.host is not None
    assert found.host.others_cores is not None
    assert survey(UnknownHost(), seconds=0.1).host is None
