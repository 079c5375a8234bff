"""The load: Locust, headless, in a separate process.

Importing locust patches sockets and sleep of the whole process, so MOrA starts it and never imports it. Locust runs in
its own process group and ends with MOrA, however MOrA ends. A second locustfile, experiments/scenarios/_recorder.py,
records the requests of each second, so that every figure covers exactly the measured seconds; Locust's own CSVs round
response times to two digits and count percentiles from the start of the ramp.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from mora.errors import BadInput, MoraError
from mora.extras import require
from mora.files import locked_folder, sweep_folders
from mora.harness.arrivals import Offered, read_offered
from mora.harness.plan import PLAIN_LOCUST, LocustOptions, experiments_folder
from mora.harness.record import LoadRecord
from mora.values import address_parts, is_loopback, without_proxy

# A lower priority than the exporter and Prometheus, so that they measure even when the load takes all the CPU.
_NICENESS = 5
_STOP_SECONDS = 5.0
_ABORT_SPAN = timedelta(seconds=10)
_ABORT_MIN_REQUESTS = 10
_PR_SET_PDEATHSIG = 1


def check_url(url: str, *, allow_remote: bool = False) -> None:
    """Raise BadInput where a URL is not http(s), or not on loopback without `allow_remote`."""
    parts = address_parts(url)
    if parts is None:
        raise BadInput(
            f"{url.rpartition('@')[2]!r} is not an http or https URL.", hint="Write it like http://127.0.0.1:8080"
        )
    if not allow_remote and not is_loopback(url):
        raise BadInput(
            f"{parts.hostname} is not this machine, and load experiments overload their target.",
            hint="To drive it anyway, add --yes. The plan's [remote] table limits the run.",
        )


def environment_for(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for Locust, which loads a URL: requests to this machine go through no proxy, as with kubectl.

    >>> environment_for("http://127.0.0.1:80", {"http_proxy": "http://proxy:3128", "no_proxy": "a.example"})["no_proxy"]
    'a.example,localhost,127.0.0.1,::1'
    """
    environ = {**environ, "LOCUST_HOST": url}
    if not is_loopback(url):
        return environ
    known = environ.get("no_proxy") or environ.get("NO_PROXY")
    direct = without_proxy(known)
    return {**environ, "no_proxy": direct, "NO_PROXY": direct}


# --- the process -----------------------------------------------------------------------------------------------------


class LocustRun:
    """A running load; a context manager that leaves no process behind.

    Locust ends with the thread that started it (PR_SET_PDEATHSIG), so that thread has to live as long as the load.
    """

    def __init__(
        self,
        scenario_file: Path,
        url: str,
        *,
        users: int,
        ramp: timedelta,
        longest: timedelta,
        options: LocustOptions = PLAIN_LOCUST,
        allow_remote: bool = False,
        process_files: Sequence[Path] = (),
        requests_per_second: float | None = None,
    ) -> None:
        """Start `users` of a scenario against `url` within `ramp`; Locust ends by itself after `longest`.

        requests_per_second: the rate at which requests arrive, in place of users who send the next one after their
        pause; there must be enough users to wait for the answers (arrivals.users_for).
        process_files: files of cgroups that Locust joins, where it gets CPU before what else the machine does.
        """
        require("collect", by="Driving load")
        check_url(url, allow_remote=allow_remote)
        self._users, self._rate, self._processes = users, requests_per_second, options.processes
        if requests_per_second is not None and options.workers:
            raise BadInput(
                "A load in requests per second is driven from this machine, and the plan waits for workers on others.",
                hint="Use `processes` in the plan's [locust] in place of `workers`, or a load in users.",
            )
        try:
            sweep_folders(Path(tempfile.gettempdir()), "mora-load-*")
            self._folder, lock = locked_folder(Path(tempfile.gettempdir()), "mora-load-")
            self._lock: int | None = lock
        except OSError as error:
            raise MoraError(
                f"The temporary folder of Locust cannot be created: {error.strerror}.",
                hint="Free some space there, or set TMPDIR to another folder.",
            ) from error
        self._record = self._folder / "record.jsonl"
        self._errors = self._folder / "errors.txt"
        command = locust_command(
            scenario_file, users=users, ramp=ramp, longest=longest, options=options, is_open=self._rate is not None
        )
        variables = {**environment_for(url, os.environ), "MORA_LOAD_RECORD": str(self._record)}
        if self._rate is not None:
            variables |= {
                "MORA_LOAD_RATE": repr(self._rate / self._processes),
                "MORA_LOAD_ARRIVALS": str(self._folder),
            }
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=self._folder,
                    env=variables,
                    start_new_session=True,
                    preexec_fn=prepared(process_files),
                )
        except OSError as error:
            self._remove_folder()
            raise MoraError(f"Locust cannot be started: {error.strerror}.") from error

    def record(self) -> LoadRecord:
        """Every second recorded so far."""
        return LoadRecord.read(self._record)

    def spawned_at(self) -> datetime | None:
        """The first recorded second at which all users ran; None before it. MoraError where Locust has ended."""
        self.check_running()
        return self.record().reached(self._users)

    def check_running(self) -> None:
        """Raise MoraError with the end of Locust's output where it has ended."""
        status = self._process.poll()
        if status is not None:
            words = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
            raise MoraError(
                f"Locust ended by itself (exit status {status}). Its last output:\n" + "\n".join(words or ["(none)"]),
                hint="Try the scenario alone: locust -f LOCUSTFILE --headless -u 1 -t 10s -H URL",
            )

    def offered(self, start: datetime, end: datetime) -> Offered | None:
        """What was offered of the rate in a time range; None for a load in users, or where nothing is recorded."""
        if self._rate is None:
            return None
        return read_offered(self._folder, self._rate, self._users, start, end, processes=self._processes)

    def recent_error_ratio(self, now: datetime) -> float:
        """The share of failed requests in the last ten seconds; 0 with fewer than ten requests, too few to judge."""
        figures = self.record().figures(now - _ABORT_SPAN, now)
        if figures is None or figures.requests < _ABORT_MIN_REQUESTS:
            return 0.0
        return figures.failures / figures.requests

    def stop(self) -> None:
        """End Locust and the processes that it forked; returns when they have ended."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # the whole group has ended already

    def __enter__(self) -> Self:
        """The load itself, which runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the load."""
        self.stop()


def locust_command(
    scenario_file: Path,
    *,
    users: int,
    ramp: timedelta,
    longest: timedelta,
    options: LocustOptions,
    is_open: bool = False,
) -> list[str]:
    """The command line that starts Locust; the URL, which may hold a password, is in its environment.

    is_open: requests arrive at a rate.
    """
    own = experiments_folder() / "scenarios"
    files = [scenario_file, own / "_recorder.py", *([own / "_arrivals.py"] if is_open else [])]
    command = [sys.executable, "-m", "locust", "-f", ",".join(map(str, files)), "--headless"]
    command += ["-u", str(users), "-r", f"{users / ramp.total_seconds():g}"]
    command += ["-t", f"{math.ceil(longest.total_seconds())}s", "--exit-code-on-error", "0"]
    command += ["--only-summary", "--loglevel", "WARNING"]
    if options.processes > 1:
        command += ["--processes", str(options.processes)]
    if options.workers:
        command += ["--master", "--expect-workers", str(options.workers)]
        command += ["--master-bind-host", options.master_bind_host, "--master-bind-port", str(options.master_bind_port)]
    return [*command, *options.arguments]


def prepared(process_files: Sequence[Path]) -> Callable[[], None]:
    """Runs in the child before it becomes Locust: lowers its priority, joins cgroups, ends it when its parent ends."""
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # on Linux; elsewhere only the recorder watches its parent

    def prepare() -> None:
        os.nice(_NICENESS)
        for file in process_files:
            with contextlib.suppress(OSError):  # the sandbox may just end; then Locust ends with its first request
                file.write_text("0")
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent ended before the line above
                os._exit(1)

    return prepare
