"""The whole road: a shop with every trap in a real Prometheus, `mora recommend`, and every number that it prints.

What each container really used is known (tests/fleet/rig.py), so what must be printed is worked out here by hand: the
rules of mora/bounds on that use, then the arithmetic that docs/cluster.md promises.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora.bounds.cpu import cpu_bounds
from mora.bounds.memory import memory_bounds
from tests import running
from tests.fleet import rig

MIB = 2**20
Floats = rig.Floats
STEP_SCRAPES = 5
# (workload, container) of those that are sized.
SIZED = [
    (service.workload.name, box.name)
    for service in rig.shop(0).services
    for box in service.pods[0].boxes
    if box.init is None and box.name != "istio-proxy"
]


@cache
def the_shop() -> rig.Fleet:
    """The shop from the moment on that a test first asks for it; its last scrapes lie a little ahead of that."""
    return rig.shop(time.time() + 600)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rig.serving(tmp_path_factory.mktemp("shop"), the_shop()) as address:
        yield address


def mora(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return running.mora(*arguments, "-n", "shop", "--prometheus", url, "--no-kubernetes", cwd=folder)


def told(url: str, folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Workload -> what `-o json` holds of it."""
    done = mora(url, folder, "recommend", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return {one["service"]: one for one in json.loads(done.stdout)["recommendations"]}


@pytest.fixture(scope="module")
def table(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return told(url, tmp_path_factory.mktemp("home"), "--all")


def part(table: dict[str, dict[str, Any]], name: str, container: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in table[name]["containers"] if one["name"] == container)
    return found


def codes(advice: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in advice["reasons"]]


# --- what must be printed, by hand -----------------------------------------------------------------------------------


def window_end(table: dict[str, dict[str, Any]]) -> datetime:
    """The last five minutes that were asked for, by the evidence of what always ran."""
    end = datetime.fromisoformat(table["agent"]["evidence"]["end"])
    assert timedelta(0) <= datetime.now(end.tzinfo) - end < timedelta(minutes=12)
    return end


def used(name: str, container: str, end: datetime, number: str = "") -> tuple[Floats, Floats]:
    """Cores and bytes on the hottest pod every five minutes: of CPU the latest sample, of memory the largest.

    number: of the pods whose names end in it alone.
    """
    service = the_shop().service(name)
    count = rig.DAYS * rig.DAY + 1
    cpu, memory = np.full(count, np.nan), np.full(count, np.nan)
    young = 0 if service.workload.kind == "CronJob" else rig.STARTUP
    for pod in (pod for pod in service.pods if pod.name.endswith(number)):
        for box in (box for box in pod.boxes if box.name == container):
            skipped = young if pod.first else 0
            here = slice(pod.first + skipped, pod.last)
            cpu[here] = np.fmax(cpu[here], box.cpu_cores[skipped:])
            memory[here] = np.fmax(memory[here], box.mem_bytes[skipped:])
    last = round((end.timestamp() - the_shop().start) / rig.SCRAPE_SECONDS)
    at = np.arange(last % STEP_SCRAPES, last + 1, STEP_SCRAPES)
    largest = np.array([_largest(memory[max(index - STEP_SCRAPES + 1, 0) : index + 1]) for index in at])
    return cpu[at], largest


def _largest(values: Floats) -> float:
    return float(np.nanmax(values)) if (~np.isnan(values)).any() else float("nan")


def bounds(name: str, container: str, end: datetime) -> tuple[float, float]:
    """Millicores and MiB of the rules that `mora backtest` scores, a day ahead: of CPU, the pod that needs most."""
    memory = used(name, container, end)[1]
    at = np.array([len(memory)])
    cores = max(
        cpu_bounds(used(name, container, end, number)[0], step_seconds=300, decisions=at, horizon_seconds=86_400)
        .requests[0]
        .item()
        # One generation after the other, each pod's place is told by the last part of its name.
        for number in {pod.name.rpartition("-")[2] for pod in the_shop().service(name).pods}
    )
    octets = memory_bounds(memory, step_seconds=300, decisions=at, horizon_seconds=86_400).requests[0]
    return 1000 * cores, float(octets) / MIB


def needed(name: str, container: str, end: datetime) -> tuple[float, float]:
    """Millicores and MiB before floors, caps and steps."""
    if name == "report":  # a CronJob: its largest run; its memory was beyond its limit of 512 MiB, so 1.2 x
        runs = [box for pod in the_shop().service(name).pods for box in pod.boxes]
        # A rate needs two scrapes, so the first minute of a run is not seen.
        largest = max(box.cpu_cores[1:].max() for box in runs), max(box.mem_bytes.max() for box in runs)
        return 1000 * largest[0], 1.2 * largest[1] / MIB
    cpu_millicores, mebibytes = bounds(name, container, end)
    if name == "frontend":  # its annotation asks for 1.3; pods start at 1.5 cores and 500 MiB
        return max(1.3 * cpu_millicores, 1500.0), max(mebibytes, 500.0)
    if name == "cart":  # close to its limit of 512 MiB, and killed there twice
        return cpu_millicores, max(1.2 * max(mebibytes, 512.0), 512.0 + 102.4, 1.2 * 512.0)
    if name == "pinned":  # limit-bound at 200m
        return 1.2 * max(cpu_millicores, 200.0), mebibytes
    if name == "frontend-canary":  # far above the 2 cores that the LimitRange allows
        return 2000.0, mebibytes
    return cpu_millicores, mebibytes


def to_set(now: int | None, need: float, most_cut: float) -> int:
    """Rounded up; a cut below a tenth is not made, and one goes so far at most."""
    whole = math.ceil(round(need, 6))
    if now is None or whole >= now:
        return whole
    return now if 1 - whole / now < 0.1 else max(whole, math.ceil(now * (1 - most_cut)))


# --- the numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "container"), SIZED)
def test_every_number_follows_from_what_was_put_in(table: dict[str, dict[str, Any]], name: str, container: str) -> None:
    advice = part(table, name, container)
    cpu_millicores, mebibytes = needed(name, container, window_end(table))
    now = None if name == "bare" else 500
    cpu, memory, limit = (
        advice[key] for key in ("cpu_request_millicores", "memory_request_bytes", "memory_limit_bytes")
    )
    assert (cpu["now"], memory["now"]) == (now, None if name == "bare" else 256 * MIB)
    if name == "payment":  # its HPA scales on the CPU request
        assert (cpu["value"], codes(cpu)) == (None, ["autoscaler-utilisation"])
    elif name == "pinned":  # unchanged at 500m: limit-bound use is not cut
        assert (cpu["value"], cpu["confidence"]) == (500, None)
        assert f"x 1.2 = {cpu_millicores:.0f}" in str(cpu["reasons"]).replace(".7m", "").replace("243", "244")
    else:
        assert cpu["value"] == pytest.approx(to_set(now, cpu_millicores, 0.5), rel=0.01, abs=1)
    cpu_limit = advice["cpu_limit_millicores"]
    if cpu["value"] is None:
        assert (cpu_limit["value"], codes(cpu_limit)) == (None, ["limit-unchanged"])
    elif cpu["value"] > 1000:  # the LimitRange would give it a limit of one core, below its request
        assert (cpu_limit["value"], codes(cpu_limit)[0]) == (cpu["value"], "limit-range")
    else:
        assert (cpu_limit["value"], cpu_limit["is_unset"]) == (None, True)
    if name == "young":  # a Java virtual machine
        assert (memory["value"], limit["value"]) == (256 * MIB, 512 * MIB)
        return
    wanted = to_set(None if name == "bare" else 256, mebibytes, 0.3)
    assert memory["value"] / MIB == pytest.approx(wanted, rel=0.01, abs=1)
    mem_limit = {"bare": None, "db": 2048, "frontend-canary": 4096}.get(name, 512)
    assert limit["now"] == (None if mem_limit is None else mem_limit * MIB)
    assert limit["value"] / MIB == pytest.approx(to_set(mem_limit, memory["value"] / MIB, 0.3), abs=1)


def test_the_peaks_come_with_their_moment_and_pod(table: dict[str, dict[str, Any]]) -> None:
    end = window_end(table)
    for name, container in SIZED:
        cpu, memory = used(name, container, end)
        evidence = part(table, name, container)["evidence"]
        assert evidence["mem_peak_bytes"] == pytest.approx(np.nanmax(memory), rel=0.01), name
        if name != "report":  # of a job the highest rate of each five minutes counts
            assert evidence["cpu_peak_cores"] == pytest.approx(np.nanmax(cpu), rel=0.01), name
        assert evidence["pods"] == len({pod.name for pod in the_shop().service(name).pods}), name
    frontend = table["frontend"]["evidence"]
    # The highest use was on a pod that is long gone.
    assert frontend["cpu_peak_pod"] == frontend["mem_peak_pod"] == "frontend-0aa-1"
    assert datetime.fromisoformat(frontend["mem_peak_at"]) < end - timedelta(days=8)


def test_kills_and_restarts_are_those_of_the_window(table: dict[str, dict[str, Any]]) -> None:
    assert (table["cart"]["evidence"]["oom_kills"], table["cart"]["evidence"]["restarts"]) == (2, 3)
    assert table["scarred"]["evidence"]["oom_kills"] == 0  # killed long ago, and the gauge still says so
    assert "oom-bump" in codes(table["cart"]["memory_request_bytes"])
    assert "oom-bump" not in codes(table["scarred"]["memory_request_bytes"])


def test_sidecars_and_init_containers_are_named_and_skipped(table: dict[str, dict[str, Any]]) -> None:
    left = {
        ("frontend", "istio-proxy"): "sidecar-skipped",
        ("cart", "log-shipper"): "native-sidecar-skipped",
        ("cart", "migrate"): "init-skipped",
    }
    for (name, container), code in left.items():
        advice = part(table, name, container)
        assert advice["cpu_request_millicores"]["value"] is None
        assert codes(advice["cpu_request_millicores"]) == [code]


def test_what_is_special_about_a_workload_is_a_reason(table: dict[str, dict[str, Any]]) -> None:
    said = {name: {*codes(one), *codes(one["replicas"])} for name, one in table.items()}
    assert {name for name, known in said.items() if "last-seen" in known} == {"idle"}
    assert {name for name, known in said.items() if "window-short" in known} == {"young"}
    assert {name for name, known in said.items() if "replicas-by-autoscaler" in known} == {"payment"}
    assert {name for name, known in said.items() if "replicas-by-nodes" in known} == {"agent"}
    assert {name for name, known in said.items() if "replicas-by-job" in known} == {"report"}
    assert all(one["basis"] == "history" for one in table.values())
    assert len(table) == len(the_shop().services)


# --- the flags -------------------------------------------------------------------------------------------------------


def test_a_retargeted_hpa_scales_at_the_same_use(url: str, tmp_path: Path, table: dict[str, dict[str, Any]]) -> None:
    payment = told(url, tmp_path, "deployment/payment", "--retarget-hpa")["payment"]
    request = payment["cpu_request_millicores"]["value"]
    assert request == pytest.approx(to_set(500, bounds("payment", "payment", window_end(table))[0], 0.5), abs=4)
    percent = math.floor(80 * 500 / request)
    assert f"from 80% of 500m to {percent}% of {request}m" in str(payment["reasons"])
    patched = mora(url, tmp_path, "recommend", "deployment/payment", "--retarget-hpa", "-o", "commands")
    assert f'averageUtilization","value":{percent}}}' in patched.stdout.replace(" ", "")


def test_mora_toml_overrides_the_annotation(url: str, tmp_path: Path, table: dict[str, dict[str, Any]]) -> None:
    (tmp_path / "mora.toml").write_text(
        '[policy]\nallow_any_step = true\n[namespaces.shop]\ncpu_buffer = 9\ncpu_floor = "700m"\n'
        '[workloads."shop/frontend"]\ncpu_buffer = 5\n[workloads."shop/nobody"]\nskip = true\n',
        encoding="utf-8",
    )
    done = mora(url, tmp_path, "recommend", "--all", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert '[workloads."shop/nobody"] in mora.toml matches no workload.' in done.stderr
    found = {one["service"]: one for one in json.loads(done.stdout)["recommendations"]}
    frontend = found["frontend"]["cpu_request_millicores"]["value"]
    by_hand = 5 * bounds("frontend", "server", window_end(table))[0]
    assert frontend == pytest.approx(by_hand, rel=0.02)
    assert found["scarred"]["cpu_request_millicores"]["value"] == pytest.approx(
        max(9 * bounds("scarred", "app", window_end(table))[0], 700), rel=0.02
    )
    assert "cpu-buffer = 5" in str(found["frontend"]["reasons"])


def test_an_excluded_window_is_named(url: str, tmp_path: Path, table: dict[str, dict[str, Any]]) -> None:
    end = window_end(table)
    span = f"{end - timedelta(days=14):%Y-%m-%dT%H:%M}/{end - timedelta(days=8):%Y-%m-%dT%H:%M}"
    frontend = told(url, tmp_path, "frontend", "--exclude", span)["frontend"]
    assert frontend["evidence"]["cpu_peak_pod"] != "frontend-0aa-1"
    assert len(frontend["evidence"]["excluded"]) == 1
    assert frontend["evidence"]["cpu_peak_cores"] < table["frontend"]["evidence"]["cpu_peak_cores"]


def test_the_table_and_its_exit_code_serve_ci(url: str, tmp_path: Path) -> None:
    done = mora(
        url, tmp_path, "recommend", "bare", "cronjob/report", "--why", "--fail-on-change", "--cpu-price", "0.04"
    )
    assert done.returncode == 3
    assert "a month" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if re.search(r" history [0-9.]+[hd]$", line)]
    assert [row[0] for row in rows] == ["report", "bare"]  # what needs a look first
    assert rows[1][3:5] == ["not", "set"]
    assert "the largest of 14 runs" in done.stdout
    assert done.stdout.count("not set") >= 3


def test_explain_prints_time_range_peaks_arithmetic_and_queries(url: str, tmp_path: Path) -> None:
    done = mora(url, tmp_path, "explain", "deployment/cart")
    assert done.returncode == 0, done.stderr
    for words in (
        "2 OOM kills at 512Mi: at least max(512Mi + 100Mi, 512Mi x 1.2) = 614.4Mi",
        "on pod cart-1cc-0",
        "log-shipper is skipped: a native sidecar (size it with --include-sidecars)",
        "max_over_time(container_memory_working_set_bytes{",
    ):
        assert words in done.stdout


def test_every_output_of_the_whole_shop_fits_into_a_folder(url: str, tmp_path: Path) -> None:
    done = mora(url, tmp_path, "recommend", "--all", "-o", "kustomize", "--out", "overlay")
    assert done.returncode == 0, done.stderr
    overlay = {path.name for path in (tmp_path / "overlay").iterdir()}
    assert {"kustomization.yaml"} < overlay
    assert len(done.stdout.splitlines()) == len(overlay) - 1  # and the list of what was written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recommend", "frontent"), "Found: deployment/frontend"),
        (("recommend", "sts/frontend"), "No workload 'sts/frontend'"),
        (("recommend", "--all", "--horizon", "1m"), "shorter than the 5m between samples"),
        (("recommend", "-l", "app=shop=x"), "not a label selector"),
        (("recommend", "frontend", "--users", "5"), "there is no model of 'frontend' that has any"),
        (("recommend", "--all", "--exclude", "yesterday"), "is not START/END"),
    ],
)
def test_impossible_input_is_refused_with_a_clear_error(
    url: str, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = mora(url, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_labels_choose_where_kube_state_metrics_exports_them(url: str, tmp_path: Path) -> None:
    assert set(told(url, tmp_path, "-l", "app.kubernetes.io/name=frontend,tier")) == {"frontend"}


WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
from mora.cli import main
main()
"""


def test_a_fleet_is_sized_without_pandas(url: str, tmp_path: Path) -> None:
    """Its import alone would take longer than everything else that a command does before its first request."""
    command = [sys.executable, "-c", WITHOUT_PANDAS, "recommend", "web", "-n", "shop", "--prometheus", url]
    environ = running.clean_environment()
    done = subprocess.run(
        [*command, "--no-kubernetes"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "web" in done.stdout
