"""Running a scenario, with a fake load, clock and sandbox: faults at their times, labels, resume, and what interrupts.

The real sandbox is in tests/pipeline/test_chaos.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mora.chaos.folder import finished_parts, read_run
from mora.chaos.run import Ground, run_scenario
from mora.chaos.scenario import Scenario
from mora.errors import BadConfig, ClusterError, MoraError
from mora.files import folder_lock
from mora.harness.drive import Site
from mora.seams import Silent
from tests.chaos.made import TOML, scenario
from tests.fakes import SHOP, FakeClock, FakeCluster, FakeLoad, FakeSource

DRAWN = "learn = '80s'\nrecover = '10s'\n[draw]\nfaults = 6\nparts = 3\nduration = ['5s', '9s']\n"


@dataclass
class Fake:
    """Sandboxes that remember what was injected, when, and whether they are still open."""

    breaks_at: int | None = None
    injected: dict[int, list[tuple[float, str, str, dict[str, Any]]]] = field(default_factory=dict)
    open_now: int = 0
    lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def ground(self, number: int) -> Iterator[Ground]:
        clock, fake = FakeClock(), self
        with self.lock:
            self.open_now += 1
            self.injected[number] = []

        class Sandbox:
            def inject(self, kind: str, service: str, **fields: Any) -> str:
                if fake.breaks_at == number:
                    raise ClusterError("The sandbox does not answer.")
                fake.injected[number].append((clock.now().timestamp(), kind, service, fields))
                return "fault-1"

        def read(start: datetime, end: datetime) -> Mapping[str, pd.DataFrame]:
            times = pd.date_range(start, end, freq="1s", unit="us")
            return {one.name: pd.DataFrame({"timestamp": times, "cpu_cores_value": 0.1}) for one in SHOP}

        site = Site(
            FakeCluster(),
            FakeSource(),
            SHOP,
            "http://127.0.0.1:8080",
            clock=clock,
            start_load=lambda *arguments, **options: FakeLoad(clock).start(*arguments, **options),
        )
        try:
            yield Ground(site, Sandbox(), "default", read, lambda start, end: {("frontend", "cartservice")})
        finally:
            with self.lock:
                self.open_now -= 1


def run(of: Scenario, folder: Path, fake: Fake, jobs: int | None = None) -> list[Path]:
    return run_scenario(of, folder, fake.ground, owner_pid=os.getpid(), reporter=Silent(), jobs=jobs)


def test_every_fault_is_injected_at_its_time_with_its_owner_and_labelled(tmp_path: Path) -> None:
    of, fake = scenario(tmp_path), Fake()
    assert [path.name for path in run(of, tmp_path / "run", fake)] == ["part-1"]
    _, (part,) = read_run(tmp_path / "run")
    assert [(kind, service) for _, kind, service, _ in fake.injected[1]] == [
        ("latency", "cartservice"),
        ("errors", "frontend"),
    ]
    for (at, _, _, fields), one, label in zip(fake.injected[1], of.injections, part.labels, strict=True):
        assert fields["owner_pid"] == os.getpid()
        assert (fields["seconds"], fields["strength"], fields["seed"]) == (40.0, one.strength, one.seed)
        late = timedelta(seconds=at - part.began.timestamp()) - one.start
        assert timedelta(0) <= late < timedelta(seconds=2)
        assert label.start.timestamp() == pytest.approx(at, abs=1)
        assert label.end - label.start == one.duration
    assert part.learnt_until - part.began == of.learn
    assert part.ended - part.began == of.parts[0].length
    assert part.calls == (("frontend", "cartservice"),)
    assert fake.open_now == 0


def test_parts_run_side_by_side_and_finished_ones_are_not_run_again(tmp_path: Path) -> None:
    of, broken = scenario(tmp_path, DRAWN), Fake(breaks_at=2)
    with pytest.raises(ClusterError, match="does not answer"):
        run(of, tmp_path / "run", broken, jobs=1)
    assert list(finished_parts(tmp_path / "run")) == [1]
    assert broken.open_now == 0
    fake = Fake()
    run(of, tmp_path / "run", fake)
    assert sorted(fake.injected) == [2, 3]
    assert list(finished_parts(tmp_path / "run")) == [1, 2, 3]
    run(of, tmp_path / "run", again := Fake())
    assert again.injected == {}


def test_the_same_seed_injects_the_same(tmp_path: Path) -> None:
    first, second = Fake(), Fake()
    for name, fake in (("one", first), ("two", second)):
        run(scenario(tmp_path, DRAWN), tmp_path / name, fake)
    assert {n: [one[1:] for one in found] for n, found in first.injected.items()} == {
        n: [one[1:] for one in found] for n, found in second.injected.items()
    }


def test_a_folder_of_another_scenario_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    run(scenario(tmp_path), tmp_path / "run", Fake())
    other = scenario(tmp_path, TOML.replace("seed = 3", "seed = 4"))
    fake = Fake()
    with pytest.raises(BadConfig, match="another scenario"):
        run(other, tmp_path / "run", fake)
    assert fake.injected == {}


def test_two_runs_of_one_folder_do_not_drive_the_same_parts(tmp_path: Path) -> None:
    fake = Fake()
    with (
        folder_lock(tmp_path / "run"),
        pytest.raises(MoraError, match="Another process is writing"),
    ):
        run(scenario(tmp_path), tmp_path / "run", fake)
    assert fake.injected == {}
    run(scenario(tmp_path), tmp_path / "run", fake)
    assert fake.injected


def test_a_part_that_fails_stops_the_others_and_leaves_nothing_open(tmp_path: Path) -> None:
    of, fake = scenario(tmp_path, DRAWN), Fake(breaks_at=1)
    with pytest.raises(MoraError):
        run(of, tmp_path / "run", fake)
    assert fake.open_now == 0
    assert 1 not in finished_parts(tmp_path / "run")
