"""Where cgroups cannot be written, the supervisor limits and measures, and says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mora.sandbox
from mora.domain import Resources
from mora.quantities import MIB
from mora.sandbox import SandboxHandle
from tests.sandbox.shopper import Shopper, crowd, until, value

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORA_SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        handle = mora.sandbox.start("unprivileged", enforcement="supervisor")
        yield handle
        handle.down()


def test_it_says_that_the_supervisor_enforces(sandbox: SandboxHandle) -> None:
    status = sandbox.status()
    assert status["enforcement"] == "supervisor"
    assert "the supervisor enforces limits and measures the processes" in status["enforcement_reason"]
    assert status["cgroup_folders"] == []


def test_a_replica_is_held_to_its_cpu_limit_and_its_throttled_periods_are_counted(sandbox: SandboxHandle) -> None:
    frontend = 'pod=~"frontend-.*", container="server"'
    throttled = f"max(container_cpu_cfs_throttled_periods_total{{{frontend}}})"
    limit_cores = value(sandbox, f'max(kube_pod_container_resource_limits{{{frontend}, resource="cpu"}})') or 0
    with crowd(sandbox.shop_url, 6):
        until(lambda: (value(sandbox, throttled) or 0) >= 30, "throttled periods")
        cores = value(sandbox, f"max(rate(container_cpu_usage_seconds_total{{{frontend}}}[3s]))") or 0
    assert 0.4 * limit_cores < cores < 1.3 * limit_cores


def test_a_replica_above_its_memory_limit_is_killed_and_restarted(sandbox: SandboxHandle) -> None:
    sandbox.set_resources("cartservice", Resources(100, 200, 18 * MIB, 18 * MIB))
    sandbox.wait_ready()
    for _ in range(500):
        shopper = Shopper(sandbox.shop_url)
        try:
            for quantity in (1, 2, 3, 4):
                shopper.add("OLJCESPC7Z", quantity)
        except OSError:
            if sandbox.status()["services"]["cartservice"]["restarts"]:
                break
    until(lambda: sandbox.status()["services"]["cartservice"]["is_settled"], "a restarted cartservice")
    service = sandbox.status()["services"]["cartservice"]
    assert service["oom_kills"] >= 1
    assert service["pods"][0]["last_terminated_reason"] == "OOMKilled"
    selector = f'pod="{service["pods"][0]["name"]}", container="server"'
    until(lambda: (value(sandbox, f"container_oom_events_total{{{selector}}}") or 0) >= 1, "the OOM kill in Prometheus")
