"""Faults of a sandbox: real disturbances of its own processes, each with an end that comes whatever dies.

The supervisor injects them, and its loop ends them: at their end, when whoever asked for them is gone, and with the
sandbox. Where the supervisor itself is killed, the kernel kills what it started, stopped replicas included
(PR_SET_PDEATHSIG); what is in a replica's wire carries its own end. Nothing outside the sandbox's pods is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mora import documents
from mora.errors import BadInput
from mora.sandbox.enforcement import Enforcer
from mora.sandbox.launch import command, package_root, python_command
from mora.sandbox.pods import Deployment, Pod
from mora.sandbox.shop.journal import VOLUME_BYTES
from mora.sandbox.state import write_private
from mora.sandbox.stress import FILLING

WIRE = ("latency", "loss", "errors", "memory-leak")
"""The faults that a replica puts on itself (shop/faults.py)."""
STRENGTHS: Mapping[str, tuple[float, float]] = {
    "cpu-hog": (0.01, 8.0),
    "memory-leak": (0.01, 1024.0),
    "latency": (0.001, 60.0),
    "loss": (0.001, 1.0),
    "errors": (0.001, 1.0),
    "dependency-down": (1.0, 1.0),
    "pod-kill": (1.0, 100.0),
    "stuck": (1.0, 1.0),
    "noisy-neighbour": (0.01, 8.0),
    "disk-fill": (0.01, 1.0),
}
"""Fault -> its least and greatest strength; what the number means, mora/chaos/catalogue.py says."""
MOST_SECONDS = 6 * 3600.0
_MOST_FAULTS = 32
# The programs of a hog outlive its end by no more than this where the loop is late.
_SLACK_SECONDS = 2.0
_NICE = 5
# A hog of a service with a limit of many cores is so many programs at most: it is the machine of other people.
_MOST_PROGRAMS = 16
_START = documents.fields(
    {
        "kind": documents.one_of(*STRENGTHS),
        "service": documents.text,
        "seconds": documents.number(0.1, MOST_SECONDS),
        "strength": documents.number(0.0, 1e6),
        "seed": documents.whole(0, 2**53),
        "owner_pid": documents.optional(documents.whole(1, 2**31)),
    },
    only=True,
)


@dataclass(slots=True, eq=False)
class Fault:
    """One fault in force. Times are those of time.monotonic(). programs: pod id -> what runs in it for this fault."""

    id: str
    kind: str
    service: str
    strength: float
    seed: int
    until: float
    began: float
    owner: int | None
    programs: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)
    kills_due: list[float] = field(default_factory=list)
    is_over: bool = False

    def status(self, now: float) -> dict[str, Any]:
        """What it is, as plain JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "service": self.service,
            "strength": self.strength,
            "seconds_left": max(0.0, self.until - now),
        }


class Faults:
    """The faults of a sandbox. Every method is called under the supervisor's lock.

    Only step() starts processes: the kernel ends them with the thread that started them, and that has to be the loop's.
    note_child: told of every process that is started.
    """

    def __init__(self, folder: Path, enforcer: Enforcer, note_child: Callable[[int], None]) -> None:
        self._file = folder / "faults.json"
        self._volumes = folder / "volumes"
        self._enforcer, self._note_child = enforcer, note_child
        self._active: list[Fault] = []
        self._count = 0
        self._written: dict[str, list[dict[str, Any]]] = {}

    # --- what the control API asks for ---

    def start(self, document: Any, deployments: Mapping[str, Deployment]) -> dict[str, Any]:
        """Begin a fault: its id. Raises BadInput for one that cannot be."""
        documents.check(document, _START)
        kind, service, strength = document["kind"], document["service"], float(document["strength"])
        least, most = STRENGTHS[kind]
        if service not in deployments:
            raise BadInput(f"The sandbox has no service {service!r}.", hint=f"It has: {', '.join(deployments)}.")
        if not least <= strength <= most:
            raise BadInput(f"The strength of {kind} is from {least:g} to {most:g}, and not {strength:g}.")
        if len(self._active) >= _MOST_FAULTS:
            raise BadInput(f"There are {_MOST_FAULTS} faults in force already.", hint="Wait until some have ended.")
        now, seconds = time.monotonic(), float(document["seconds"])
        owner = None
        if document["owner_pid"] is not None:
            try:
                owner = os.pidfd_open(document["owner_pid"])
            except OSError as error:
                raise BadInput(f"Who asks for the fault is no process: {error.strerror}.") from error
        self._count += 1
        fault = Fault(f"fault-{self._count}", kind, service, strength, document["seed"], now + seconds, now, owner)
        if kind == "pod-kill":
            fault.kills_due = [now + seconds * turn / round(strength) for turn in range(round(strength))]
        self._active.append(fault)
        return {"id": fault.id}

    def end(self, fault_id: Any) -> dict[str, Any]:
        """End a fault at the next step; whether it was still in force."""
        documents.check(fault_id, documents.text)
        ended = [fault for fault in self._active if fault.id == fault_id]
        for fault in ended:
            fault.is_over = True
        return {"was_active": bool(ended)}

    def status(self) -> list[dict[str, Any]]:
        """The faults in force."""
        now = time.monotonic()
        return [fault.status(now) for fault in self._active]

    # --- what the loop does ---

    def step(self, deployments: Mapping[str, Deployment], now: float) -> None:
        """Put every fault on the pods as they are now, and end those that are over."""
        for fault in [fault for fault in self._active if fault.is_over or now >= fault.until or _is_ownerless(fault)]:
            self._active.remove(fault)
            self._undo(fault, deployments[fault.service].pods)
        for fault in self._active:
            self._apply(fault, deployments[fault.service].pods, now)
        self._write_wire()

    def holds(self, service: str) -> bool:
        """Whether the containers of a service must not start now."""
        return any(fault.service == service and fault.kind == "dependency-down" for fault in self._active)

    def children(self) -> list[subprocess.Popen[bytes]]:
        """The programs that run for faults."""
        return [one for fault in self._active for programs in fault.programs.values() for one in programs]

    def close(self) -> None:
        """End everything, with the sandbox."""
        for fault in self._active:
            self._end_programs(fault, list(fault.programs))
            _forget_owner(fault)
        self._active = []

    def _apply(self, fault: Fault, pods: Collection[Pod], now: float) -> None:
        self._end_programs(fault, fault.programs.keys() - {pod.uid for pod in pods})
        running = [pod for pod in pods if pod.process is not None and pod.process.poll() is None]
        match fault.kind:
            case "stuck":
                # Again and again: replicas are new after a restart, and an enforcer without cgroups lets them go on.
                for pod in running:
                    _signal(pod, signal.SIGSTOP)
            case "dependency-down":
                for pod in running:
                    _signal(pod, signal.SIGKILL)
            case "pod-kill":
                while fault.kills_due and now >= fault.kills_due[0] and running:
                    fault.kills_due.pop(0)
                    turn = random.Random(f"{fault.seed}/{len(fault.kills_due)}").randrange(len(running))  # noqa: S311
                    _signal(sorted(running, key=lambda pod: pod.created_at)[turn], signal.SIGKILL)
            case "cpu-hog" | "noisy-neighbour" | "disk-fill":
                for pod in running:
                    if pod.uid not in fault.programs:
                        fault.programs[pod.uid] = self._start_programs(fault, pod)

    def _undo(self, fault: Fault, pods: Collection[Pod]) -> None:
        self._end_programs(fault, list(fault.programs))
        _forget_owner(fault)
        for pod in pods:
            if fault.kind == "stuck" and not self._is_also("stuck", fault.service):
                _signal(pod, signal.SIGCONT)
            if fault.kind == "disk-fill":
                (self._volumes / pod.uid / FILLING).unlink(missing_ok=True)

    def _end_programs(self, fault: Fault, pods: Collection[str]) -> None:
        """End what runs for a fault in these pods."""
        for pod in pods:
            for program in fault.programs.pop(pod):
                program.kill()
                self._enforcer.leave(pod, program.pid)  # before its id can be another's
                program.wait()

    def _is_also(self, kind: str, service: str) -> bool:
        return any(fault.kind == kind and fault.service == service for fault in self._active)

    def _start_programs(self, fault: Fault, pod: Pod) -> list[subprocess.Popen[bytes]]:
        until = str(fault.until + _SLACK_SECONDS)
        stress = python_command("mora.sandbox.stress")
        if fault.kind == "disk-fill":
            volume = self._volumes / pod.uid
            volume.mkdir(exist_ok=True)
            lines = [[*stress, "fill", until, str(volume), str(int(VOLUME_BYTES * fault.strength))]]
        else:
            shares = shares_of(fault.strength, pod.resources.cpu_limit_millicores)
            lines = [[*stress, "burn", until, f"{share:.4f}"] for share in shares]
        is_beside = fault.kind == "noisy-neighbour"
        files = self._enforcer.neighbour_files(pod.uid) if is_beside else self._enforcer.process_files(pod.uid)
        programs = []
        for line in lines:
            program = subprocess.Popen(
                command(line, nice=_NICE, process_files=files),
                cwd=package_root(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._note_child(program.pid)
            self._enforcer.join(pod.uid, program.pid, is_beside=is_beside)
            programs.append(program)
        return programs

    def _write_wire(self) -> None:
        """The faults file that replicas read, where it changes."""
        wanted: dict[str, list[dict[str, Any]]] = {}
        for fault in self._active:
            if fault.kind in WIRE:
                entry = {"id": fault.id, "kind": fault.kind, "strength": fault.strength, "seed": fault.seed}
                wanted.setdefault(fault.service, []).append({**entry, "until": fault.until})
        if wanted != self._written:
            write_private(self._file, json.dumps(wanted))
            self._written = wanted


def shares_of(strength: float, limit_millicores: int | None) -> list[float]:
    """The share of a core that each program of a hog takes: together `strength` times the CPU limit, or cores without.

    >>> shares_of(1.5, 1500), shares_of(0.5, None)
    ([1.0, 1.0, 0.25], [0.5])
    """
    cores = min(strength * (1.0 if limit_millicores is None else limit_millicores / 1000), _MOST_PROGRAMS)
    return [1.0] * int(cores) + [cores % 1] * (cores % 1 > 0)


def _is_ownerless(fault: Fault) -> bool:
    return fault.owner is not None and bool(select.select([fault.owner], [], [], 0)[0])


def _forget_owner(fault: Fault) -> None:
    if fault.owner is not None:
        os.close(fault.owner)
        fault.owner = None


def _signal(pod: Pod, number: signal.Signals) -> None:
    if pod.process is not None and pod.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pod.process.pid, number)
