"""Limits without cgroups: the supervisor stops and kills processes itself, alone and in a running sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

import mora.sandbox
from mora.domain import Resources
from mora.quantities import MIB
from mora.sandbox import SandboxHandle
from mora.sandbox.enforcement import SupervisorEnforcer, open_enforcer, read_cpu_ns, read_own_memory_bytes
from tests.running import until
from tests.sandbox.shopper import Shopper, crowd, value

BUSY = "while True: pass"
WAITING = "import sys; sys.stdin.read()"
MEMORY = "import sys; block = bytearray(64 * 2**20); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def enforcer() -> Iterator[SupervisorEnforcer]:
    enforcer = SupervisorEnforcer("cgroups cannot be written")
    yield enforcer
    enforcer.close()


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("process", [BUSY], indirect=True)
def test_a_busy_process_is_stopped_for_a_part_of_every_period(
    enforcer: SupervisorEnforcer, process: subprocess.Popen[bytes]
) -> None:
    enforcer.admit("pod", Resources(cpu_limit_millicores=100))
    enforcer.attach("pod", process.pid)
    until(lambda: enforcer.container_usage("pod").throttled_periods >= 5, "throttled periods")
    usage = enforcer.pod_usage("pod")
    assert usage.periods >= usage.throttled_periods
    assert usage.throttled_seconds > 0
    assert 0 < usage.cpu_seconds <= read_cpu_ns(process.pid) / 1e9


@pytest.mark.parametrize("process", [WAITING], indirect=True)
def test_what_a_fault_runs_in_a_pod_shares_its_cpu_limit_and_is_counted_where_it_runs(
    enforcer: SupervisorEnforcer, process: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as other:
        try:
            for is_beside in (False, True):
                pod = f"pod-{is_beside}"
                enforcer.admit(pod, Resources(cpu_limit_millicores=100))
                enforcer.attach(pod, process.pid)
                enforcer.join(pod, other.pid, is_beside=is_beside)
                until(partial(is_throttled, enforcer, pod), "a pod that is stopped though its own process waits")
                enforcer.leave(pod, other.pid)
                counted = enforcer.container_usage(pod).cpu_seconds
                own = read_cpu_ns(process.pid) / 1e9
                assert counted <= own if is_beside else counted > own
                enforcer.release(pod)
                other.send_signal(signal.SIGCONT)
            enforcer.leave("gone", other.pid)  # with its pod
        finally:
            other.kill()


def is_throttled(enforcer: SupervisorEnforcer, pod: str) -> bool:
    return enforcer.pod_usage(pod).throttled_periods >= 2


@pytest.mark.parametrize("process", [MEMORY], indirect=True)
def test_a_process_above_its_memory_limit_is_killed_and_counted(
    enforcer: SupervisorEnforcer, process: subprocess.Popen[bytes]
) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert read_own_memory_bytes(process.pid) > 64 * MIB
    enforcer.admit("pod", Resources(memory_limit_bytes=32 * MIB))
    enforcer.attach("pod", process.pid)
    assert process.wait(60) == -signal.SIGKILL
    assert enforcer.container_usage("pod").oom_kills == 1


@pytest.mark.parametrize("process", [MEMORY], indirect=True)
def test_without_limits_a_process_is_only_measured(
    enforcer: SupervisorEnforcer, process: subprocess.Popen[bytes]
) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    enforcer.admit("pod", Resources())
    enforcer.attach("pod", process.pid)
    until(lambda: enforcer.container_usage("pod").working_set_bytes > 64 * MIB, "measured memory")
    assert process.poll() is None
    assert enforcer.container_usage("pod").throttled_periods == 0
    process.kill()
    process.wait()
    until(lambda: enforcer.container_usage("pod").cpu_seconds > 0, "CPU time that outlives the process")
    enforcer.release("pod")


def test_the_supervisor_enforces_where_it_is_asked_to() -> None:
    enforcer = open_enforcer(f"test-{os.getpid()}", "supervisor")
    assert enforcer.name == "supervisor"
    assert enforcer.reason == "as requested, the supervisor enforces limits and measures the processes"
    assert (enforcer.folders(), enforcer.process_files("pod")) == ([], [])
    enforcer.close()


# --- in a running sandbox --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unprivileged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORA_SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        handle = mora.sandbox.start("unprivileged", enforcement="supervisor")
        yield handle
        handle.down()


@pytest.mark.slow
def test_the_status_says_that_the_supervisor_enforces(unprivileged: SandboxHandle) -> None:
    status = unprivileged.status()
    assert status["enforcement"] == "supervisor"
    assert "the supervisor enforces limits and measures the processes" in status["enforcement_reason"]
    assert status["cgroup_folders"] == []


@pytest.mark.slow
def test_a_replica_stays_within_its_cpu_limit_and_throttled_periods_are_counted(
    unprivileged: SandboxHandle,
) -> None:
    frontend = 'pod=~"frontend-.*", container="server"'
    throttled = f"max(container_cpu_cfs_throttled_periods_total{{{frontend}}})"
    limit_cores = value(unprivileged, f'max(kube_pod_container_resource_limits{{{frontend}, resource="cpu"}})') or 0
    with crowd(unprivileged.shop_url, 6):
        until(lambda: (value(unprivileged, throttled) or 0) >= 30, "throttled periods")
        cores = value(unprivileged, f"max(rate(container_cpu_usage_seconds_total{{{frontend}}}[3s]))") or 0
    assert 0.4 * limit_cores < cores < 1.3 * limit_cores


@pytest.mark.slow
def test_a_replica_above_its_memory_limit_is_killed_and_restarted(unprivileged: SandboxHandle) -> None:
    unprivileged.set_resources("cartservice", Resources(100, 200, 18 * MIB, 18 * MIB))
    unprivileged.wait_ready()
    for _ in range(500):
        shopper = Shopper(unprivileged.shop_url)
        try:
            for quantity in (1, 2, 3, 4):
                shopper.add("OLJCESPC7Z", quantity)
        except OSError:
            if unprivileged.status()["services"]["cartservice"]["restarts"]:
                break
    until(lambda: unprivileged.status()["services"]["cartservice"]["is_settled"], "a restarted cartservice")
    service = unprivileged.status()["services"]["cartservice"]
    assert service["oom_kills"] >= 1
    assert service["pods"][0]["last_terminated_reason"] == "OOMKilled"
    selector = f'pod="{service["pods"][0]["name"]}", container="server"'
    until(
        lambda: (value(unprivileged, f"container_oom_events_total{{{selector}}}") or 0) >= 1,
        "the OOM kill in Prometheus",
    )
