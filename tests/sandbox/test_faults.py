"""Faults in a running sandbox: each disturbs what it should, by real means, and ends whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mora.sandbox
from mora.errors import BadInput
from mora.sandbox import SandboxHandle
from mora.sandbox.faults import STRENGTHS, shares_of
from mora.sandbox.shop.journal import VOLUME_BYTES
from mora.sandbox.watchdog import start_time
from tests.running import until
from tests.sandbox.shopper import Shopper, value
from tests.sandbox.traces import Traces

pytestmark = pytest.mark.slow

CPU = 'sum(container_cpu_usage_seconds_total{pod=~"paymentservice.*",container!=""})'
LONG = 3600.0


@pytest.fixture
def shop(sandbox: SandboxHandle) -> Iterator[SandboxHandle]:
    """The running sandbox; faults that a failed test left are ended."""
    yield sandbox
    for fault in sandbox.status()["faults"]:
        sandbox.end_fault(fault["id"])


def pid_of(shop: SandboxHandle, service: str) -> int:
    until(lambda: shop.status()["services"][service]["is_settled"], f"{service} as it should be")
    return int(shop.status()["services"][service]["pods"][0]["pid"])


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def programs_of(shop: SandboxHandle) -> list[int]:
    """The running programs of the faults of a sandbox: children of its supervisor."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == shop.pid and b"mora.sandbox.stress" in line:
            found.append(int(folder.name))
    return found


def inject(shop: SandboxHandle, kind: str, service: str, **changes: Any) -> str:
    return shop.inject(kind, service, **{"seconds": LONG, "strength": 1.0, "owner_pid": os.getpid()} | changes)


def test_a_stuck_service_is_stopped_again_after_a_restart_and_goes_on_at_the_end(shop: SandboxHandle) -> None:
    pid = pid_of(shop, "paymentservice")
    fault = inject(shop, "stuck", "paymentservice")
    until(lambda: state_of(pid) == "T", "a stopped process")
    os.kill(pid, signal.SIGCONT)
    until(lambda: state_of(pid) == "T", "a process that is stopped again")
    assert [one["kind"] for one in shop.status()["faults"]] == ["stuck"]
    assert shop.end_fault(fault)
    assert state_of(pid) != "T"
    assert not shop.end_fault(fault), "it is over"


def has_more_cpu(shop: SandboxHandle, seconds: float) -> bool:
    return (value(shop, CPU) or 0.0) > seconds


def test_a_hog_and_a_neighbour_take_cpu_and_are_gone_at_the_end(shop: SandboxHandle) -> None:
    pid_of(shop, "paymentservice")
    for kind in ("cpu-hog", "noisy-neighbour"):
        fault = inject(shop, kind, "paymentservice")
        until(lambda: len(programs_of(shop)) == 1, f"the program of a {kind}")
        before = value(shop, CPU) or 0.0
        if kind == "cpu-hog":  # what is beside a container is not counted as its own
            until(partial(has_more_cpu, shop, before + 0.2), "CPU of the service")
        shop.end_fault(fault)
        assert programs_of(shop) == []


def test_latency_errors_and_loss_are_in_the_wire_of_the_service_alone(shop: SandboxHandle) -> None:
    shopper = Shopper(shop.shop_url)
    faults = [inject(shop, "latency", "cartservice", strength=0.4), inject(shop, "errors", "productcatalogservice")]

    def is_failing() -> bool:
        try:
            shopper.get("/")
        except urllib.error.HTTPError as error:
            return error.code == 500
        return False

    until(is_failing, "a page that fails as its catalogue does")
    shop.end_fault(faults[1])
    until(lambda: not is_failing(), "a page without errors")
    began = time.monotonic()
    shopper.get("/cart")
    assert time.monotonic() - began > 0.4 * 0.8, "the cart is slow"
    shop.end_fault(faults[0])


def test_a_dependency_is_down_until_the_fault_ends_and_a_killed_pod_comes_back(shop: SandboxHandle) -> None:
    before = shop.status()["services"]["productcatalogservice"]["restarts"]
    fault = inject(shop, "dependency-down", "productcatalogservice")
    until(lambda: shop.status()["services"]["productcatalogservice"]["ready"] == 0, "a service that is down")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        Shopper(shop.shop_url).get("/")
    assert shop.status()["services"]["productcatalogservice"]["pods"][0]["pid"] is None
    shop.end_fault(fault)
    pid = pid_of(shop, "productcatalogservice")
    fault = inject(shop, "pod-kill", "productcatalogservice")
    until(lambda: pid_of(shop, "productcatalogservice") != pid, "another process")
    shop.end_fault(fault)
    assert shop.status()["services"]["productcatalogservice"]["restarts"] == before + 2


def test_a_leak_ends_in_an_oom_kill_and_is_freed_where_it_ends_before(shop: SandboxHandle) -> None:
    memory = 'sum(container_memory_working_set_bytes{pod=~"cartservice.*",container!=""})'
    until(lambda: value(shop, memory), "a figure of its memory")
    before = value(shop, memory) or 0.0
    fault = inject(shop, "memory-leak", "cartservice", strength=8.0)
    until(lambda: (value(shop, memory) or 0.0) > before + 8 * 2**20, "memory that grows")
    shop.end_fault(fault)
    until(lambda: (value(shop, memory) or 0.0) < before + 6 * 2**20, "memory that is freed")
    kills = shop.status()["services"]["cartservice"]["oom_kills"]
    fault = inject(shop, "memory-leak", "cartservice", strength=200.0)
    until(lambda: shop.status()["services"]["cartservice"]["oom_kills"] > kills, "an OOM kill")
    shop.end_fault(fault)


def test_a_full_volume_fails_what_changes_something_and_nothing_else(shop: SandboxHandle) -> None:
    shopper = Shopper(shop.shop_url)
    shopper.add("OLJCESPC7Z")
    fault = inject(shop, "disk-fill", "cartservice")
    used = 'max(container_fs_usage_bytes{pod=~"cartservice.*"})'
    until(lambda: value(shop, used) == VOLUME_BYTES, "a full volume")

    def is_refused() -> bool:
        try:
            shopper.add("OLJCESPC7Z")
        except urllib.error.HTTPError as error:
            return error.code == 507
        return False

    until(is_refused, "a cart that cannot be written")
    assert "<table>" in shopper.get("/cart"), "reading goes on"
    shop.end_fault(fault)
    until(lambda: not is_refused(), "a cart that can be written again")


def test_a_fault_ends_at_its_time_and_when_who_asked_for_it_is_killed(shop: SandboxHandle) -> None:
    pid = pid_of(shop, "checkoutservice")
    inject(shop, "stuck", "checkoutservice", seconds=0.5)
    until(lambda: state_of(pid) == "T", "a stopped process")
    until(lambda: state_of(pid) != "T" and shop.status()["faults"] == [], "a process that goes on by itself")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        inject(shop, "stuck", "checkoutservice", owner_pid=owner.pid)
        until(lambda: state_of(pid) == "T", "a stopped process")
        owner.kill()
        until(lambda: state_of(pid) != "T" and shop.status()["faults"] == [], "the end of an ownerless fault")


@pytest.mark.parametrize("enforcement", [None, "supervisor"])
def test_nothing_is_left_of_faults_where_the_supervisor_is_killed(home: Path, enforcement: str | None) -> None:
    shop = mora.sandbox.start("doomed", enforcement=enforcement, owner_pid=os.getpid(), await_metrics=False)
    traces = Traces(shop.status())
    try:
        for kind, service in (
            ("stuck", "checkoutservice"),
            ("cpu-hog", "cartservice"),
            ("noisy-neighbour", "frontend"),
            ("disk-fill", "cartservice"),
            ("memory-leak", "paymentservice"),
        ):
            inject(shop, kind, service)
        pid = pid_of(shop, "checkoutservice")
        until(lambda: state_of(pid) == "T", "a stopped process")
        until(lambda: len(programs_of(shop)) >= 3, "the programs of three faults")
        programs = {one: start_time(one) for one in programs_of(shop)}
    finally:
        os.kill(shop.pid, signal.SIGKILL)
    traces.until_gone()
    until(lambda: all(start_time(one) != began for one, began in programs.items()), "no program of a fault")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "earthquake"}, "kind"),
        ({"service": "nobody"}, "no service"),
        ({"strength": 9.0, "kind": "cpu-hog"}, "from 0.01 to 8"),
        ({"seconds": 10.0**6}, "seconds"),
        ({"owner_pid": 2**22 + 5}, "no process"),
    ],
)
def test_what_cannot_be_a_fault_is_refused_and_nothing_happens(
    shop: SandboxHandle, change: dict[str, Any], words: str
) -> None:
    wanted = {"kind": "stuck", "service": "frontend"} | change
    with pytest.raises(BadInput, match=words):
        inject(shop, wanted.pop("kind"), wanted.pop("service"), **wanted)
    assert shop.status()["faults"] == []


def test_every_kind_has_a_least_and_a_greatest_strength() -> None:
    assert all(0 < least <= most for least, most in STRENGTHS.values())


def test_a_hog_of_a_service_with_many_cores_is_a_bounded_number_of_programs() -> None:
    assert sum(shares_of(0.5, 3000)) == pytest.approx(1.5)
    assert len(shares_of(8.0, 10**9)) == 16
