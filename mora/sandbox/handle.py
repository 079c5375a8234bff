"""The handle of a sandbox: start or find one, scale and resize its services, stop it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from mora import errors
from mora.domain import Resources
from mora.errors import ClusterError, MoraError
from mora.extras import require
from mora.quantities import format_duration
from mora.sandbox.launch import STAY, package_root
from mora.sandbox.state import is_locked, list_sandboxes, read_state, sandbox_folder
from mora.sandbox.watchdog import is_running, start_time

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 10.0
# A supervisor ends its processes within a few seconds.
_END_SECONDS = 30.0


def start(
    name: str = "default",
    *,
    enforcement: str | None = None,
    owner_pid: int | None = None,
    await_metrics: bool = True,
) -> SandboxHandle:
    """Start a sandbox in the background; returns once its services and its Prometheus answer.

    enforcement: "supervisor" uses no cgroups even where they can be written.
    owner_pid: the sandbox stops when this process ends, however it ends. None: it runs until down().
    await_metrics: also wait until Prometheus has scraped every container, which takes five seconds longer. Callers
        that ask Prometheus later do not need it.
    Raises ClusterError where a sandbox of that name is running, ToolMissing without Prometheus or the extra `sandbox`.
    """
    with starting(name, enforcement=enforcement, owner_pid=owner_pid, await_metrics=await_metrics) as handle:
        return handle


@contextmanager
def starting(
    name: str = "default",
    *,
    enforcement: str | None = None,
    owner_pid: int | None = None,
    await_metrics: bool = True,
) -> Iterator[SandboxHandle]:
    """A sandbox as of start(), which stays only if the body of the `with` ends well.

    Whatever interrupts its start, or the body, ends it too: an exception, or the end of this process by any signal.
    """
    require("sandbox", by="The sandbox")
    sandbox_folder(name)  # refuses what is no name
    reading, writing = os.pipe()
    theirs, ours = os.pipe()
    program = [sys.executable, "-m", "mora.sandbox.process", "--name", name]
    program += ["--ready-descriptor", str(writing), "--starter-descriptor", str(theirs)]
    if enforcement is not None:
        program += ["--enforcement", enforcement]
    if owner_pid is not None:
        program += ["--owner-pid", str(owner_pid)]
    if not await_metrics:
        program += ["--no-await-metrics"]
    stays = False
    try:
        try:
            # find_tool() searches from the working directory, so that stays; PYTHONPATH leads to the package. A session
            # of its own: Ctrl-C reaches this process alone, which then ends what it began.
            launched = subprocess.run(
                program,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_python_path())},
                pass_fds=(writing, theirs),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(writing)
            os.close(theirs)
        with os.fdopen(reading, closefd=False) as pipe:
            text = pipe.readline()
        yield _answered(name, text, launched.returncode)
        stays = True
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            os.write(ours, STAY)
    finally:
        os.close(ours)
        if not stays:
            _await_end(reading)
        os.close(reading)


def _await_end(reading: int) -> None:
    """Return when the supervisor, which has the other end of the pipe as long as it lives, has cleaned up and ended."""
    deadline = time.monotonic() + _END_SECONDS
    while (left := deadline - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        if not os.read(reading, 4096):
            return


def _answered(name: str, text: str, status: int) -> SandboxHandle:
    """The handle of a sandbox that answered its starter; raises what it answered instead."""
    if not text:
        raise ClusterError(f"The supervisor of the sandbox ended without a message (exit status {status}).")
    answer: dict[str, Any] = json.loads(text)
    if not answer["ready"]:
        kind: type[MoraError] = getattr(errors, answer["kind"])
        raise kind(answer["message"], hint=answer["hint"])
    return connect(name)


def _python_path() -> list[str]:
    return [str(package_root()), *filter(None, [os.environ.get("PYTHONPATH")])]


def connect(name: str = "default") -> SandboxHandle:
    """The running sandbox of that name; ClusterError with those that are running where it is not."""
    folder = sandbox_folder(name)
    state = read_state(folder)
    if state is None or not is_locked(folder):
        running = list_sandboxes()
        raise ClusterError(
            f"No sandbox named {name!r} is running.",
            hint=f"Running: {', '.join(running)}." if running else "No sandbox is running. Start one: mora sandbox up",
        )
    return SandboxHandle(state)


class SandboxHandle:
    """A running sandbox: its addresses as attributes, its services by methods."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = state
        self.name: str = state["name"]
        self.namespace: str = state["namespace"]
        self.shop_url: str = state["shop_url"]
        self.prometheus_url: str = state["prometheus_url"]
        self.entry_service: str = state["entry_service"]
        self.enforcement: str = state["enforcement"]
        self.enforcement_reason: str = state["enforcement_reason"]
        self.pid: int = state["pid"]
        self.load_files: tuple[Path, ...] = tuple(map(Path, state.get("load_files", ())))

    @property
    def services(self) -> list[str]:
        """The names of the shop's services, sorted."""
        return sorted(self.status()["services"])

    def status(self) -> dict[str, Any]:
        """The whole state of the sandbox: addresses, process ids, and the desired and current state of every service.

        services: name -> replicas, ready, is_settled, generation, restarts, oom_kills, container, image, resources,
            pods (name, phase, pid, restarts, last_terminated_reason).
        faults: those in force (id, kind, service, strength, seconds_left).
        """
        status: dict[str, Any] = self._command("/status")
        return {key: value for key, value in status.items() if key != "token"}

    def processes(self) -> tuple[list[int], list[int]]:
        """The processes of the shop's pods, and those that run and measure it."""
        status = self.status()
        pods = [pod["pid"] for service in status["services"].values() for pod in service["pods"]]
        helpers = [status[name] for name in ("pid", "watchdog_pid", "prometheus_pid")]
        return [pid for pid in pods if pid], [pid for pid in helpers if pid]

    def scale(self, replicas: Mapping[str, int]) -> None:
        """Set the desired replicas of services; wait_ready() waits for them."""
        self._command("/scale", dict(replicas))

    def set_resources(self, service: str, resources: Resources) -> None:
        """Set requests and limits; new replicas replace the old ones as in a rolling update."""
        self._command("/resources", {"service": service, "resources": asdict(resources)})

    def resize(self, pod: str, version: int, resources: Resources) -> dict[str, Any]:
        """Ask for other requests and limits of one running pod, in place; nothing restarts, no template changes.

        version: the pod's, as it was read. outcome: asked (with the pod's status), changed meanwhile, or gone. The pod
        has them once its status says so: a memory limit below what is in use waits.
        """
        wanted = {"pod": pod, "version": version, "resources": asdict(resources)}
        answer: dict[str, Any] = self._command("/resize", wanted)
        return answer

    def restart(self, services: Iterable[str] | None = None) -> None:
        """Replace all replicas of these services (by default of all) with new ones; wait_ready() waits for them."""
        self._command("/restart", list(self.services if services is None else services))

    def inject(
        self, kind: str, service: str, *, seconds: float, strength: float, seed: int = 0, owner_pid: int | None = None
    ) -> str:
        """Begin a fault (mora.sandbox.faults) in the pods of a service; its id.

        It ends after `seconds`, by end_fault(), with the process `owner_pid`, and with the sandbox: what comes first.
        """
        wanted = {"kind": kind, "service": service, "seconds": seconds, "strength": strength}
        answer = self._command("/faults/start", {**wanted, "seed": seed, "owner_pid": owner_pid})
        return str(answer["id"])

    def end_fault(self, fault_id: str) -> bool:
        """End a fault now; whether it was still in force. Returns when it is over."""
        was_active = bool(self._command("/faults/end", fault_id)["was_active"])
        deadline = time.monotonic() + _END_SECONDS
        while any(fault["id"] == fault_id for fault in self.status()["faults"]):
            if time.monotonic() > deadline:
                raise ClusterError(f"The fault {fault_id} has not ended after {format_duration(_END_SECONDS)}.")
            time.sleep(_POLL_SECONDS / 2)
        return was_active

    def wait_ready(self, services: Iterable[str] | None = None, timeout: timedelta = timedelta(seconds=60)) -> None:
        """Return once the desired replicas are ready and no other pod is left; ClusterError after `timeout`."""
        deadline = time.monotonic() + timeout.total_seconds()
        names = None if services is None else list(services)
        while True:
            status = self.status()["services"]
            waiting = [name for name in (names or status) if not status[name]["is_settled"]]
            if not waiting:
                return
            if time.monotonic() > deadline:
                states = "; ".join(f"{name} {status[name]['ready']} of {status[name]['replicas']}" for name in waiting)
                raise ClusterError(
                    f"Not ready after {format_duration(timeout)}: {states} replicas.",
                    hint="Look for restarts and OOM kills: mora sandbox status",
                )
            time.sleep(_POLL_SECONDS)

    def down(self, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Stop the sandbox; returns once all its processes have ended, the supervisor and its watchdog included."""
        processes = {pid: start_time(pid) for pid in (self.pid, int(self.status()["watchdog_pid"]))}
        self._command("/down")
        folder = sandbox_folder(self.name)
        deadline = time.monotonic() + timeout.total_seconds()
        while folder.exists() or is_locked(folder) or any(map(is_running, processes, processes.values())):
            if time.monotonic() > deadline:
                raise ClusterError(f"The sandbox {self.name!r} did not stop in {format_duration(timeout)}.")
            time.sleep(_POLL_SECONDS)

    def _command(self, path: str, value: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  (our own loopback address)
            self._state["control_url"] + path,
            data=json.dumps(value).encode(),
            headers={"Authorization": f"Bearer {self._state['token']}", "Content-Type": "application/json"},
        )
        try:
            with _open_direct(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                text = json.load(error)
            raise errors.BadInput(text.get("message", f"HTTP {error.code}"), hint=text.get("hint")) from error
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise ClusterError(
                f"The sandbox {self.name!r} does not answer: {error}.", hint="Start it again: mora sandbox up"
            ) from error


def _open_direct(request: urllib.request.Request) -> Any:
    """Open a loopback address without the proxy that the environment may name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=_ANSWER_SECONDS)
