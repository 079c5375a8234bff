"""The supervisor of a sandbox: the kubelet and the controllers in one. It leaves nothing behind.

One loop in the main thread brings the running processes to the desired state: it starts, watches and ends them (the
kernel kills them when the thread that started them ends). The threads of the control API only change the desired state.

One file, longer than most: everything here reads or changes the same deployments under one lock, in one thread; what
needs neither is in a module of its own (pods, enforcement, exporter, proxy, watchdog).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mora import documents
from mora.domain import Resources
from mora.errors import BadInput, ClusterError
from mora.quantities import format_duration
from mora.sandbox.control import ControlServer
from mora.sandbox.enforcement import open_enforcer
from mora.sandbox.exporter import DeploymentView, PodView, render_cadvisor, render_kube_state, render_mesh, render_node
from mora.sandbox.faults import Faults
from mora.sandbox.launch import command, package_root, python_command
from mora.sandbox.pods import Deployment, Phase, Pod, check_resources
from mora.sandbox.prometheus import CADVISOR_PATH, KUBE_STATE_PATH, MESH_PATH, NODE_PATH, PrometheusServer
from mora.sandbox.proxy import EntryProxy
from mora.sandbox.shop.calls import read_calls
from mora.sandbox.shop.journal import used_bytes
from mora.sandbox.shop.traffic import read_traffic
from mora.sandbox.spec import ENTRY_SERVICE, NAMESPACE, SERVICES
from mora.sandbox.state import remove_lock, sandbox_folder, take_lock, write_private, write_state
from mora.sandbox.watchdog import Watchdog, clean_up, remove_folder

_LOOP_SECONDS = 0.05
_SHOP_NICE = 5
# glibc returns blocks of this size to the kernel as soon as they are freed, so that memory follows the current number
# of carts and not the maximum so far.
_SHOP_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "16384"}
# Callers read the endpoints every 0.1 s; after this no request goes to the replica.
_LEAVE_SECONDS = 0.3
_KILL_AFTER_SECONDS = 10.0
_START_SECONDS = 60.0
_MAX_REPLICAS = 20
_CGROUPS = "cgroups"
# The shape of each command; how many replicas and which amounts there may be is checked where they are set.
_REPLICAS = documents.mapping(documents.whole(least=-(2**31), most=2**31))
_AMOUNTS = tuple(Resources.__dataclass_fields__)
# The kernel refuses larger ones.
_RESOURCES_OF_A_CHANGE = documents.fields(
    {name: documents.optional(documents.whole(-(10**9), 2**60 if "bytes" in name else 10**9)) for name in _AMOUNTS},
    needed=(),
)
_CHANGE = documents.fields({"service": documents.text, "resources": _RESOURCES_OF_A_CHANGE})
_RESIZE = documents.fields({"pod": documents.text, "version": documents.whole(1), "resources": _RESOURCES_OF_A_CHANGE})


class Supervisor:
    """One running sandbox.

    enforcement: "supervisor" uses no cgroups. owner_pid: the sandbox stops when this process ends. await_metrics: run()
    calls `on_ready` only after Prometheus has scraped every container.
    Raises ClusterError where a sandbox of that name is running.
    """

    def __init__(
        self,
        name: str,
        *,
        enforcement: str | None = None,
        owner_pid: int | None = None,
        await_metrics: bool = True,
    ) -> None:
        self.name = name
        self._await_metrics = await_metrics
        self.folder = sandbox_folder(name)
        self._lock_descriptor = _take_lock(self.folder)
        _clear_leftovers(self.folder)
        self.folder.mkdir(mode=0o700)
        self._enforcer = open_enforcer(_group_name(self.folder), enforcement)
        (self.folder / _CGROUPS).write_text("".join(f"{path}\n" for path in self._enforcer.folders()))
        self._watchdog = Watchdog(self.folder, self._enforcer.folders(), self._lock_descriptor)
        self._owner = None if owner_pid is None else os.pidfd_open(owner_pid)
        self._stop = threading.Event()
        # Guards the deployments, which the loop and the threads of the control API change.
        self._guard = threading.RLock()
        self._deployments = {spec.name: Deployment(spec, spec.resources) for spec in SERVICES}
        self._endpoints: dict[str, list[int]] | None = None
        self._proxy = EntryProxy()
        self._node = f"sandbox-{name}"
        self._token = secrets.token_urlsafe(32)
        for part in ("logs", "traffic", "volumes"):
            (self.folder / part).mkdir()
        self._faults = Faults(self.folder, self._enforcer, lambda pid: self._watchdog.note_child(pid))
        self._control = ControlServer(self._token, self._commands(), self._pages())
        self._prometheus: PrometheusServer | None = None

    # --- from start to end ---

    def run(self, on_ready: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call `on_ready` with the status, keep the desired state until stop(), and clean up."""
        try:
            self._start_prometheus()
            self._reconcile_until_ready()
            write_state(self.folder, self._state())
            on_ready(self.status(None))
            while not self._stop.wait(_LOOP_SECONDS) and not self._owner_is_gone():
                self._reconcile()
                self._revive_helpers()
        finally:
            self._clean_up()

    def stop(self) -> None:
        """Make run() end; callable from any thread and from a signal handler."""
        self._stop.set()

    def _start_prometheus(self) -> None:
        self._prometheus = PrometheusServer(self.folder / "prometheus", self._control.port, self._node)
        self._watchdog.note_child(self._prometheus.start())

    def _reconcile_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (self._is_settled() and (self._prometheus_has_seen_all() or not self._await_metrics)):
            self._reconcile()
            if self._stop.wait(_LOOP_SECONDS) or self._owner_is_gone():
                raise ClusterError("The sandbox was stopped before it was ready.")
            if time.monotonic() > deadline:
                waiting = [name for name, deployment in self._deployments.items() if not deployment.is_settled]
                raise ClusterError(
                    f"The sandbox was not ready after {format_duration(_START_SECONDS)}. "
                    f"Still missing: {', '.join(waiting) or 'the first scrape of its Prometheus'}.",
                    hint="Is this machine very busy? Try again when it is not.",
                )

    def _is_settled(self) -> bool:
        return all(deployment.is_settled for deployment in self._deployments.values())

    def _prometheus_has_seen_all(self) -> bool:
        pods = sum(len(deployment.pods) for deployment in self._deployments.values())
        return self._prometheus is not None and self._prometheus.has_seen(pods)

    def _owner_is_gone(self) -> bool:
        return self._owner is not None and bool(select.select([self._owner], [], [], 0)[0])

    def _revive_helpers(self) -> None:
        """Restart the watchdog and Prometheus where they were killed."""
        if self._watchdog.process.poll() is not None:
            self._watchdog.close()
            self._watchdog = Watchdog(self.folder, self._enforcer.folders(), self._lock_descriptor)
            for child in self._children():
                self._watchdog.note_child(child.pid)
        if self._prometheus is not None and not self._prometheus.is_running:
            self._watchdog.note_child(self._prometheus.start())

    def _children(self) -> list[subprocess.Popen[bytes]]:
        processes = [pod.process for deployment in self._deployments.values() for pod in deployment.pods]
        processes += [self._prometheus.process if self._prometheus else None, *self._faults.children()]
        return [process for process in processes if process is not None and process.poll() is None]

    def _clean_up(self) -> None:
        self._faults.close()
        for process in self._children():
            process.kill()
        for process in self._children():
            process.wait()
        for deployment in self._deployments.values():
            for pod in deployment.pods:
                _close_process(pod)
        self._control.close()
        self._proxy.close()
        self._enforcer.close()
        if self._owner is not None:
            os.close(self._owner)
        remove_folder(self.folder)
        remove_lock(self.folder)
        self._watchdog.dismiss()
        os.close(self._lock_descriptor)

    # --- the desired state ---

    def _commands(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "/status": self.status,
            "/scale": self._scale,
            "/resources": self._set_resources,
            "/restart": self._restart,
            "/resize": self._resize,
            "/faults/start": self._start_fault,
            "/faults/end": self._end_fault,
            "/down": lambda _: self.stop(),
        }

    def _deployment(self, service: str) -> Deployment:
        if service not in self._deployments:
            raise BadInput(
                f"The sandbox has no service {service!r}.", hint=f"It has: {', '.join(sorted(self._deployments))}."
            )
        return self._deployments[service]

    def _scale(self, replicas: dict[str, int]) -> None:
        documents.check(replicas, _REPLICAS)
        for service, count in replicas.items():
            self._deployment(service)
            if not 0 <= count <= _MAX_REPLICAS:
                raise BadInput(f"{service} can have 0 to {_MAX_REPLICAS} replicas in the sandbox, not {count}.")
        with self._guard:
            for service, count in replicas.items():
                deployment = self._deployments[service]
                if deployment.replicas != count:
                    deployment.replicas = count
                    deployment.generation += 1

    def _set_resources(self, change: dict[str, Any]) -> None:
        documents.check(change, _CHANGE)
        amounts = {name: change["resources"].get(name) for name in _AMOUNTS}
        deployment, resources = self._deployment(change["service"]), Resources(**amounts)
        check_resources(resources)
        with self._guard:
            if deployment.resources != resources:
                deployment.resources = resources
                deployment.generation += 1

    def _resize(self, change: dict[str, Any]) -> dict[str, Any]:
        """Ask for other resources of one running pod, as pods/resize does; the loop gives them to it."""
        documents.check(change, _RESIZE)
        amounts = {name: change["resources"].get(name) for name in _AMOUNTS}
        resources = Resources(**amounts)
        check_resources(resources)
        with self._guard:
            pods = [pod for deployment in self._deployments.values() for pod in deployment.pods]
            pod = next((one for one in pods if one.name == change["pod"] and not one.is_leaving), None)
            if pod is None:
                return {"outcome": "gone"}
            if pod.version != change["version"]:
                return {"outcome": "changed"}
            pod.wanted, pod.resize_problem, pod.version = resources, "", pod.version + 1
            return {"outcome": "asked", "pod": pod.status()}

    def _restart(self, services: list[str]) -> None:
        documents.check(services, documents.items(documents.text))
        deployments = [self._deployment(service) for service in services]
        with self._guard:
            for deployment in deployments:
                deployment.restart_count += 1
                deployment.generation += 1

    def _start_fault(self, fault: Any) -> dict[str, Any]:
        with self._guard:
            return self._faults.start(fault, self._deployments)

    def _end_fault(self, fault_id: Any) -> dict[str, Any]:
        with self._guard:
            return self._faults.end(fault_id)

    # --- the current state ---

    def status(self, _: Any) -> dict[str, Any]:
        """The whole state of the sandbox as plain JSON values; see SandboxHandle.status."""
        with self._guard:
            services = {name: deployment.status() for name, deployment in self._deployments.items()}
            faults = self._faults.status()
        return {**self._state(), "services": services, "faults": faults}

    def _state(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "namespace": NAMESPACE,
            "pid": os.getpid(),
            "watchdog_pid": self._watchdog.process.pid,
            "prometheus_pid": self._prometheus.process.pid if self._prometheus and self._prometheus.process else None,
            "token": self._token,
            "control_url": f"http://127.0.0.1:{self._control.port}",
            "shop_url": f"http://127.0.0.1:{self._proxy.port}",
            "prometheus_url": self._prometheus.url if self._prometheus else None,
            "entry_service": ENTRY_SERVICE,
            "enforcement": self._enforcer.name,
            "enforcement_reason": self._enforcer.reason,
            "load_files": [str(path) for path in self._enforcer.load_files()],
            "cgroup_folders": [str(path) for path in self._enforcer.folders()],
            "folder": str(self.folder),
        }

    def _pages(self) -> dict[str, Callable[[], bytes]]:
        return {
            CADVISOR_PATH: lambda: render_cadvisor(self._views()),
            KUBE_STATE_PATH: lambda: render_kube_state(self._views(), self._node),
            MESH_PATH: lambda: render_mesh(self._views()),
            NODE_PATH: lambda: render_node(self._node),
        }

    def _views(self) -> list[DeploymentView]:
        with self._guard:
            return [
                DeploymentView(
                    name=deployment.name,
                    replicas=deployment.replicas,
                    available=deployment.available,
                    generation=deployment.generation,
                    replica_sets=deployment.replica_sets,
                    pods=[self._view(pod) for pod in deployment.pods if pod.is_admitted],
                )
                for deployment in self._deployments.values()
            ]

    def _view(self, pod: Pod) -> PodView:
        received, sent = read_traffic(self._traffic_file(pod))
        calls, parallel_calls = read_calls(pod.service, self._calls_file(pod))
        return PodView(
            name=pod.name,
            uid=pod.uid,
            container_id=pod.container_id,
            replica_set=pod.replica_set,
            image=pod.image,
            resources=pod.resources,
            container=self._enforcer.container_usage(pod.uid),
            pod=self._enforcer.pod_usage(pod.uid),
            received_bytes=received,
            sent_bytes=sent,
            is_ready=pod.is_ready,
            is_running=pod.process is not None,
            restarts=pod.restarts,
            last_terminated_reason=pod.last_terminated_reason,
            created_at=pod.created_at,
            calls=calls,
            parallel_calls=parallel_calls,
            volume_bytes=used_bytes(self._volume(pod)),
        )

    # --- the loop ---

    def _reconcile(self) -> None:
        """One pass: record which containers have ended or are ready, then start and end pods as desired."""
        now = time.monotonic()
        with self._guard:
            for deployment in self._deployments.values():
                for pod in list(deployment.pods):
                    self._record_change(deployment, pod, now)
                for _ in range(deployment.replicas - len(deployment.current)):
                    deployment.pods.append(deployment.new_pod())
                for pod in list(deployment.surplus()):
                    pod.phase, pod.terminating_since = Phase.TERMINATING, now
                for pod in deployment.pods:
                    is_due = pod.phase is Phase.WAITING and now >= pod.start_after
                    if is_due and not self._faults.holds(deployment.name):
                        self._start(pod, now)
            for pod in [pod for deployment in self._deployments.values() for pod in deployment.pods]:
                self._give(pod)
            self._faults.step(self._deployments, now)
            self._write_endpoints()
            for deployment in self._deployments.values():
                for pod in [pod for pod in deployment.pods if pod.is_leaving]:
                    self._terminate(deployment, pod, now)

    def _record_change(self, deployment: Deployment, pod: Pod, now: float) -> None:
        if pod.process is None:
            return
        if pod.process.poll() is not None:
            oom_kills = self._enforcer.container_usage(pod.uid).oom_kills
            reason = "OOMKilled" if oom_kills > pod.seen_oom_kills else "Error"
            pod.seen_oom_kills = oom_kills
            _close_process(pod)
            if not pod.is_leaving:
                pod.note_end(reason, now)
            else:
                pod.process = None
        elif pod.phase is Phase.STARTING:
            pod.port = _read_port(pod.process)
            if pod.port is not None:
                pod.phase, pod.ready_since = Phase.READY, time.time()

    def _give(self, pod: Pod) -> None:
        """Give a pod what a resize asks for, as soon as it can have it."""
        if pod.wanted is None or not pod.is_admitted or pod.process is None:
            return
        pod.resize_problem = self._enforcer.resize(pod.uid, pod.wanted) or ""
        if not pod.resize_problem:
            pod.resources, pod.wanted = pod.wanted, None

    def _start(self, pod: Pod, now: float) -> None:
        if not pod.is_admitted:
            self._enforcer.admit(pod.uid, pod.resources)
            pod.is_admitted = True
        program = [*python_command("mora.sandbox.shop"), pod.service]
        program += ["--endpoints", str(self.folder / "endpoints.json"), "--traffic", str(self._traffic_file(pod))]
        program += ["--calls", str(self._calls_file(pod)), "--faults", str(self.folder / "faults.json")]
        program += ["--volume", str(self._volume(pod))]
        entry_sockets = [_open_entry_socket(pod)] if pod.service == ENTRY_SERVICE else []
        program += [word for entry_socket in entry_sockets for word in ("--entry-socket", str(entry_socket.fileno()))]
        with (self.folder / "logs" / f"{pod.name}.log").open("ab") as log:
            pod.process = subprocess.Popen(
                command(program, nice=_SHOP_NICE, process_files=self._enforcer.process_files(pod.uid)),
                cwd=package_root(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[entry_socket.fileno() for entry_socket in entry_sockets],
                env={**os.environ, **_SHOP_ENVIRONMENT},
            )
        for entry_socket in entry_sockets:
            entry_socket.close()
        assert pod.process.stdout is not None  # noqa: S101  (asked for above)
        os.set_blocking(pod.process.stdout.fileno(), False)
        self._watchdog.note_child(pod.process.pid)
        self._enforcer.attach(pod.uid, pod.process.pid)
        pod.phase, pod.started_at = Phase.STARTING, now

    def _terminate(self, deployment: Deployment, pod: Pod, now: float) -> None:
        """End a pod in steps: callers stop using it, then it drains, then it ends, then it is removed."""
        waited = now - (pod.terminating_since or now)
        if pod.process is None:
            deployment.pods.remove(pod)
            deployment.past_restarts += pod.restarts
            deployment.past_oom_kills += pod.seen_oom_kills
            if pod.is_admitted:
                self._enforcer.release(pod.uid)
            self._traffic_file(pod).unlink(missing_ok=True)
            self._calls_file(pod).unlink(missing_ok=True)
            shutil.rmtree(self._volume(pod), ignore_errors=True)
        elif waited > _KILL_AFTER_SECONDS:
            pod.process.kill()
        elif waited > _LEAVE_SECONDS and not pod.is_signalled:
            pod.process.terminate()
            pod.is_signalled = True

    def _write_endpoints(self) -> None:
        ready = {
            name: sorted(pod.port for pod in deployment.pods if pod.is_ready and pod.port is not None)
            for name, deployment in self._deployments.items()
        }
        if ready != self._endpoints:
            write_private(self.folder / "endpoints.json", json.dumps(ready))
            self._endpoints = ready
            entry = self._deployments[ENTRY_SERVICE].pods
            self._proxy.set_replicas(
                [pod.entry_socket for pod in entry if pod.is_ready and pod.entry_socket is not None]
            )

    def _traffic_file(self, pod: Pod) -> Path:
        return self.folder / "traffic" / pod.uid

    def _calls_file(self, pod: Pod) -> Path:
        return self.folder / "traffic" / f"{pod.uid}.calls"

    def _volume(self, pod: Pod) -> Path:
        return self.folder / "volumes" / pod.uid


def _read_port(process: subprocess.Popen[bytes]) -> int | None:
    """The port that a replica has written to its standard output; None while it is starting."""
    assert process.stdout is not None  # noqa: S101  (always a pipe)
    with contextlib.suppress(BlockingIOError):
        line = os.read(process.stdout.fileno(), 64)
        return int(line) if line else None
    return None


def _close_process(pod: Pod) -> None:
    if pod.process is not None and pod.process.stdout is not None:
        pod.process.stdout.close()
    if pod.entry_socket is not None:
        pod.entry_socket.close()
        pod.entry_socket = None


def _open_entry_socket(pod: Pod) -> socket.socket:
    """The replica's end of a new socket, through which the proxy passes connections to it."""
    pod.entry_socket, inside = socket.socketpair()
    return inside


def _group_name(folder: Path) -> str:
    """The name of a sandbox's cgroup: unique for its name, user and folder."""
    return f"{folder.name}-{os.getuid()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def _take_lock(folder: Path) -> int:
    """Lock the sandbox's name; the descriptor of the lock."""
    # A watchdog that cleans up after a killed supervisor keeps the lock for a moment.
    descriptor = take_lock(folder, patience_seconds=3.0)
    if descriptor is None:
        raise ClusterError(
            f"A sandbox named {folder.name!r} is already running.",
            hint=f"Use it, stop it (mora sandbox down --name {folder.name}), or start one under another name.",
        )
    return descriptor


def _clear_leftovers(folder: Path) -> None:
    """Remove what is left of a sandbox whose supervisor and watchdog were killed; its processes ended with them."""
    if folder.exists():
        groups = folder / _CGROUPS
        clean_up(folder, [Path(line) for line in groups.read_text().splitlines()] if groups.exists() else [], [])
