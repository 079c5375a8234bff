"""Limits and measures pods: by the kernel with cgroups, or by the supervisor where cgroups cannot be written.

The supervisor adds up the CPU time of a replica's threads (nanoseconds), stops the replica for the rest of a period of
100 ms once its quota is used up, and kills it when its memory exceeds the limit: coarser than the kernel, but with the
same meaning.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mora.domain import Resources
from mora.sandbox.cgroups import PERIOD_MICROSECONDS, GroupTree, NoCgroups, Usage, open_tree

_CONTAINER_GROUP = "server"
# What disturbs a pod from beside its container, as a noisy neighbour does: it gets what it wants.
_NEIGHBOUR_GROUP, _NEIGHBOUR_WEIGHT = "neighbour", Resources(8000, None, None, None)
# What drives the load measures response times, so it must not wait behind what else the machine does, nor behind the
# shop: it takes a fraction of a core, and outweighs a few pods on it.
_LOAD_GROUP, _LOAD_WEIGHT = "load", Resources(1000, None, None, None)
_TICK_SECONDS = 0.01
_PERIOD_SECONDS = PERIOD_MICROSECONDS / 1e6
_TICKS_PER_MEMORY_CHECK = 5


class Enforcer(Protocol):
    """Limits and measures pods, which are named by their ids."""

    name: str
    reason: str

    def admit(self, pod: str, resources: Resources) -> None:
        """Prepare a pod with these requests and limits."""

    def resize(self, pod: str, resources: Resources) -> str | None:
        """Give a pod that runs other requests and limits; why it cannot have them, None where it has them now."""

    def process_files(self, pod: str) -> list[Path]:
        """The cgroup files to which the pod's process writes its id, if any."""

    def load_files(self) -> list[Path]:
        """The cgroup files to which a load generator writes its id, if any."""

    def attach(self, pod: str, pid: int) -> None:
        """Record that the pod's container now runs as this process."""

    def neighbour_files(self, pod: str) -> list[Path]:
        """The cgroup files to which what disturbs a pod from beside its container writes its id, if any."""

    def join(self, pod: str, pid: int, *, is_beside: bool) -> None:
        """Record a process that a fault runs in the pod's container, or beside it; it shares the pod's CPU limit."""

    def leave(self, pod: str, pid: int) -> None:
        """Record that a process which joined has ended."""

    def container_usage(self, pod: str) -> Usage:
        """What the pod's container has used so far."""

    def pod_usage(self, pod: str) -> Usage:
        """What the whole pod has used so far."""

    def release(self, pod: str) -> None:
        """Forget a pod whose process has ended."""

    def folders(self) -> list[Path]:
        """The cgroup folders that the watchdog removes where the supervisor cannot."""

    def close(self) -> None:
        """Release everything."""


class KernelEnforcer:
    """Limits and figures of the kernel, by cgroups."""

    def __init__(self, tree: GroupTree) -> None:
        self._tree = tree
        self.name = f"cgroups {tree.version}"
        self.reason = "limits are enforced and usage is measured by the kernel"
        tree.create(_LOAD_GROUP)
        tree.limit(_LOAD_GROUP, _LOAD_WEIGHT)

    def admit(self, pod: str, resources: Resources) -> None:
        """Prepare a pod with these requests and limits."""
        self._tree.create(_container(pod))
        self._tree.limit(_pod(pod), resources)
        self._tree.limit(_container(pod), resources)

    def resize(self, pod: str, resources: Resources) -> str | None:
        """Give a pod that runs other requests and limits; why it cannot have them, None where it has them now."""
        if (problem := _too_small(resources, self.container_usage(pod))) is not None:
            return problem
        # A group's quota is never above that of the group around it: the pod is widened first and narrowed last, so
        # both orders are tried, which the kernel of version 1 asks for.
        for path in (_pod(pod), _container(pod), _pod(pod)):
            with contextlib.suppress(OSError):
                self._tree.limit(path, resources)
        try:
            self._tree.limit(_container(pod), resources)
            self._tree.limit(_pod(pod), resources)
        except OSError as error:
            return f"the kernel refuses it: {error.strerror}"
        return None

    def process_files(self, pod: str) -> list[Path]:
        """The cgroup files to which the pod's process writes its id, if any."""
        return self._tree.process_files(_container(pod))

    def load_files(self) -> list[Path]:
        """The cgroup files to which a load generator writes its id, if any."""
        return self._tree.process_files(_LOAD_GROUP)

    def attach(self, pod: str, pid: int) -> None:
        """Record that the pod's container now runs as this process."""
        return None

    def neighbour_files(self, pod: str) -> list[Path]:
        """The cgroup files to which what disturbs a pod from beside its container writes its id, if any."""
        self._tree.create(_neighbour(pod))
        self._tree.limit(_neighbour(pod), _NEIGHBOUR_WEIGHT)
        return self._tree.process_files(_neighbour(pod))

    def join(self, pod: str, pid: int, *, is_beside: bool) -> None:
        """Record a process that a fault runs in the pod's container, or beside it; it shares the pod's CPU limit."""
        return None

    def leave(self, pod: str, pid: int) -> None:
        """Record that a process which joined has ended; its group goes with the pod."""
        return None

    def container_usage(self, pod: str) -> Usage:
        """What the pod's container has used so far."""
        return self._tree.usage(_container(pod))

    def pod_usage(self, pod: str) -> Usage:
        """What the whole pod has used so far."""
        return self._tree.usage(_pod(pod))

    def release(self, pod: str) -> None:
        """Forget a pod whose process has ended."""
        self._tree.remove(_pod(pod))

    def folders(self) -> list[Path]:
        """The cgroup folders that the watchdog removes where the supervisor cannot."""
        return self._tree.folders()

    def close(self) -> None:
        """Release everything."""
        self._tree.remove_all()


def _too_small(resources: Resources, usage: Usage) -> str | None:
    """A kubelet lowers no memory limit below what is in use: https://kubernetes.io/docs/tasks/configure-pod-container/
    resize-container-resources/, "Memory limit decrease"."""
    limit = resources.memory_limit_bytes
    if limit is None or usage.working_set_bytes < limit:
        return None
    return f"the memory limit of {limit} bytes is below current usage, {usage.working_set_bytes} bytes"


def _pod(pod: str) -> str:
    return f"pod{pod}"


def _container(pod: str) -> str:
    return f"pod{pod}/{_CONTAINER_GROUP}"


def _neighbour(pod: str) -> str:
    return f"pod{pod}/{_NEIGHBOUR_GROUP}"


@dataclass(slots=True)
class _Supervised:
    """A pod that the supervisor limits and measures.

    cpu_ns: of all containers of the pod so far. others: process -> (CPU so far, whether it is beside the container).
    quota_used_ns: cpu_ns and what is beside the container. period_ns: quota_used_ns at the start of the current period,
    less what the period before used above its quota.
    """

    resources: Resources
    pid: int | None = None
    ended_cpu_ns: int = 0
    ended_beside_ns: int = 0
    running_cpu_ns: int = 0
    period_start: float = field(default_factory=time.monotonic)
    period_ns: int = 0
    stopped_at: float | None = None
    periods: int = 0
    throttled_periods: int = 0
    throttled_seconds: float = 0.0
    memory_bytes: int = 0
    oom_kills: int = 0
    others: dict[int, tuple[int, bool]] = field(default_factory=dict)

    @property
    def cpu_ns(self) -> int:
        inside_ns = sum(cpu_ns for cpu_ns, is_beside in self.others.values() if not is_beside)
        return self.ended_cpu_ns + self.running_cpu_ns + inside_ns

    @property
    def quota_used_ns(self) -> int:
        beside_ns = sum(cpu_ns for cpu_ns, is_beside in self.others.values() if is_beside)
        return self.cpu_ns + self.ended_beside_ns + beside_ns

    @property
    def quota_ns(self) -> int | None:
        limit = self.resources.cpu_limit_millicores
        return None if limit is None else int(limit / 1000 * _PERIOD_SECONDS * 1e9)


class SupervisorEnforcer:
    """Limits by the supervisor, for machines where cgroups cannot be written."""

    name = "supervisor"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._pods: dict[str, _Supervised] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="enforcer", daemon=True)
        self._thread.start()

    def admit(self, pod: str, resources: Resources) -> None:
        """Prepare a pod with these requests and limits."""
        with self._lock:
            self._pods[pod] = _Supervised(resources)

    def resize(self, pod: str, resources: Resources) -> str | None:
        """Give a pod that runs other requests and limits; why it cannot have them, None where it has them now."""
        if (problem := _too_small(resources, self.container_usage(pod))) is not None:
            return problem
        with self._lock:
            self._pods[pod].resources = resources
        return None

    def process_files(self, pod: str) -> list[Path]:
        """The cgroup files to which the pod's process writes its id, if any."""
        return []

    def load_files(self) -> list[Path]:
        """The cgroup files to which a load generator writes its id, if any."""
        return []

    def attach(self, pod: str, pid: int) -> None:
        """Record that the pod's container now runs as this process."""
        with self._lock:
            state = self._pods[pod]
            state.ended_cpu_ns += state.running_cpu_ns
            state.running_cpu_ns, state.memory_bytes, state.stopped_at, state.pid = 0, 0, None, pid

    def neighbour_files(self, pod: str) -> list[Path]:
        """The cgroup files to which what disturbs a pod from beside its container writes its id, if any."""
        return []

    def join(self, pod: str, pid: int, *, is_beside: bool) -> None:
        """Record a process that a fault runs in the pod's container, or beside it; it shares the pod's CPU limit."""
        with self._lock:
            self._pods[pod].others[pid] = (0, is_beside)

    def leave(self, pod: str, pid: int) -> None:
        """Record that a process which joined has ended."""
        with self._lock:
            state = self._pods.get(pod)
            cpu_ns, is_beside = (0, True) if state is None else state.others.pop(pid, (0, True))
            if state is not None and is_beside:
                state.ended_beside_ns += cpu_ns
            elif state is not None:
                state.ended_cpu_ns += cpu_ns

    def container_usage(self, pod: str) -> Usage:
        """What the pod's container has used so far."""
        with self._lock:
            state = self._pods[pod]
            return Usage(
                cpu_seconds=state.cpu_ns / 1e9,
                periods=state.periods,
                throttled_periods=state.throttled_periods,
                throttled_seconds=state.throttled_seconds,
                working_set_bytes=state.memory_bytes,
                rss_bytes=state.memory_bytes,
                oom_kills=state.oom_kills,
            )

    def pod_usage(self, pod: str) -> Usage:
        """What the whole pod has used so far."""
        return self.container_usage(pod)

    def release(self, pod: str) -> None:
        """Forget a pod whose process has ended."""
        with self._lock:
            del self._pods[pod]

    def folders(self) -> list[Path]:
        """The cgroup folders that the watchdog removes where the supervisor cannot."""
        return []

    def close(self) -> None:
        """Release everything."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        tick = 0
        while not self._closed.wait(_TICK_SECONDS):
            tick += 1
            with self._lock:
                for state in self._pods.values():
                    if state.pid is not None:
                        self._inspect(state, state.pid, is_memory_due=tick % _TICKS_PER_MEMORY_CHECK == 0)

    def _inspect(self, state: _Supervised, pid: int, *, is_memory_due: bool) -> None:
        try:
            state.running_cpu_ns = max(state.running_cpu_ns, read_cpu_ns(pid))
            if is_memory_due:
                state.memory_bytes = read_own_memory_bytes(pid)
            for other, (seen_ns, is_beside) in state.others.items():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended: its count stays
                    state.others[other] = (max(seen_ns, read_cpu_ns(other)), is_beside)
        except (FileNotFoundError, ProcessLookupError):
            state.pid = None
            return
        limit = state.resources.memory_limit_bytes
        if limit is not None and state.memory_bytes > limit:
            state.oom_kills += 1
            state.pid = None
            _signal(pid, signal.SIGKILL)
        else:
            _throttle(state, pid, time.monotonic())


def _throttle(state: _Supervised, pid: int, now: float) -> None:
    """Stop the process for the rest of its period once its quota is used up; the next period has less by any excess."""
    quota_ns = state.quota_ns
    if quota_ns is None:
        return
    used_ns = state.quota_used_ns - state.period_ns
    if now - state.period_start >= _PERIOD_SECONDS:
        state.periods += 1 if used_ns > 0 else 0
        overdrawn_ns = max(0, used_ns - quota_ns)
        state.period_ns = state.quota_used_ns - overdrawn_ns
        state.period_start = now
        if state.stopped_at is not None:
            state.throttled_periods += 1
            state.throttled_seconds += now - state.stopped_at
            state.stopped_at = now
            if overdrawn_ns < quota_ns:
                state.stopped_at = None
                _signal_all(state, pid, signal.SIGCONT)
    elif used_ns >= quota_ns and state.stopped_at is None:
        state.stopped_at = now
        _signal_all(state, pid, signal.SIGSTOP)


def _signal_all(state: _Supervised, pid: int, number: signal.Signals) -> None:
    for one in (pid, *state.others):
        _signal(one, number)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def read_cpu_ns(pid: int) -> int:
    """CPU time of all current threads of a process, in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def read_own_memory_bytes(pid: int) -> int:
    """Anonymous and shared memory of a process, without the files that it has mapped.

    A cgroup charges a file to the first process that reads it, so this is close to the working set of a replica.
    """
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line[1]) * 1024 for line in lines if line and line[0] in ("RssAnon:", "RssShmem:"))


def open_enforcer(group_name: str, wanted: str | None) -> Enforcer:
    """The kernel's enforcer where cgroups can be written, else the supervisor's; `wanted` "supervisor" forces that."""
    if wanted == "supervisor":
        return SupervisorEnforcer("as requested, the supervisor enforces limits and measures the processes")
    tree = open_tree(group_name)
    if isinstance(tree, NoCgroups):
        return SupervisorEnforcer(f"{tree.reason}; the supervisor enforces limits and measures the processes")
    return KernelEnforcer(tree)
