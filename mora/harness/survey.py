"""Before a run: how busy the machines are, and what that means for what will be measured.

A small program does what Locust will do, for a few seconds: it works for a moment, sleeps, and notes how late it woke
and how long it waited for a CPU. It joins the cgroup of the load, where there is one. So what it finds is what Locust
would find; that others use a lot of CPU means nothing by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mora.domain import Window
from mora.harness.clock import Clock, SystemClock
from mora.harness.host import Host, HostUse
from mora.harness.load import prepared
from mora.quantities import format_duration

SURVEY_SECONDS = 3
# As late as this, or as long without a CPU for each second that it works, response times would be wrong by a tenth of
# the p95 of a fast service.
_LATE_SECONDS = 0.010
_WAITED_RATIO = 0.5
_PAUSE = timedelta(seconds=10)
_PROBE = """
import json, sys, time
end, late, ran = time.monotonic() + float(sys.argv[1]), [], 0.0
def waited():
    try:
        return [int(n) / 1e9 for n in open("/proc/self/schedstat").read().split()[:2]]
    except OSError:
        return None
before = waited()
while time.monotonic() < end:
    due = time.monotonic() + 0.015
    time.sleep(0.015)
    late.append(time.monotonic() - due)
    until = time.thread_time() + 0.005
    while time.thread_time() < until:
        pass
after = waited()
late.sort()
print(json.dumps([late[int(0.95 * len(late))], None if before is None else [b - a for a, b in zip(before, after)]]))
"""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a few seconds before a run showed.

    late_seconds: the p95 of how late a program like Locust woke. waited_ratio: seconds without a CPU for each second of
    work. None: not known.
    """

    late_seconds: float | None
    waited_ratio: float | None
    host: HostUse | None

    @property
    def is_busy(self) -> bool:
        """Whether response times measured now would measure the machine."""
        return (self.late_seconds or 0.0) > _LATE_SECONDS or (self.waited_ratio or 0.0) > _WAITED_RATIO

    def __str__(self) -> str:
        """For people: who uses the machine, and what it means."""
        found = []
        if self.host is not None and self.host.others_cores is not None:
            found.append(f"other programs use {self.host.others_cores:.1f} of its {self.host.cores} cores")
        if self.late_seconds is not None:
            found.append(f"a program like Locust wakes {self.late_seconds * 1000:.0f} ms late")
        if self.waited_ratio is not None:
            found.append(f"and waits {self.waited_ratio:.1f} s for a CPU in each second of work")
        return ", ".join(found)


def survey(
    host: Host, *, process_files: Sequence[Path] = (), seconds: float = SURVEY_SECONDS, clock: Clock | None = None
) -> Survey:
    """Look for a few seconds at how busy the machines are."""
    clock = clock or SystemClock()
    watch, began = host.watch(), clock.now()
    watch.tick()
    late, times = _probe(seconds, process_files)
    watch.end()
    step = timedelta(seconds=1)
    use = watch.use(Window(began, max(clock.now(), began + step), step))
    waited = None if times is None or times[0] <= 0 else times[1] / times[0]
    return Survey(late, waited, use)


def _probe(seconds: float, process_files: Sequence[Path]) -> tuple[float | None, tuple[float, float] | None]:
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-E", "-c", _PROBE, str(seconds)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=prepared(process_files),
        )
        late, times = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, None
    return float(late), None if times is None else (float(times[0]), float(times[1]))


def await_quiet(
    look: Callable[[], Survey], *, limit: timedelta, say: Callable[[str], None], clock: Clock | None = None
) -> bool:
    """Say that the machine is busy and what that means, and wait for a quieter moment; whether one came in time."""
    clock = clock or SystemClock()
    found, began = look(), clock.now()
    if not found.is_busy:
        return True
    say(
        f"This machine is busy: {found}. Response times would measure that as well. "
        f"Waiting up to {format_duration(limit)} for a quieter moment ..."
    )
    while (left := began + limit - clock.now()) > timedelta():
        clock.sleep(min(_PAUSE, left).total_seconds())
        if not look().is_busy:
            return True
    say(
        "It is still busy. Going on: what is measured while others slow it down is driven again, "
        "and is no measurement where that does not help."
    )
    return False
