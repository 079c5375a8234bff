"""Which images ran when, by a real Prometheus; and a leak that a new image mended, from its series to the number."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.domain import Window, Workload
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests import running
from tests.sources.rig import Series, backfill, cluster, serve

MIB = 2**20
HOUR = 3600
DAY = 24 * HOUR
EVERY = 120
# Ahead of the clock: the series are made when the tests are collected, and asked for when it is their turn.
END = time.time() // 300 * 300 + 2 * HOUR
START = END - 6 * DAY
CHANGE = START + 4 * DAY
KILL = CHANGE - 2 * HOUR
BEGIN = KILL - 31 * HOUR
OLD, NEW = "shop/web:1.0", "shop/web:1.1"


def memory(at: float) -> float:
    rise = 300 * (at - BEGIN) / (KILL - BEGIN) if BEGIN <= at < KILL else 0.0
    return (200 + 5 * math.sin(at / 700) + rise) * MIB


def frontend(*, leaks: bool = True) -> Iterator[Series]:
    """A Deployment of one pod that leaks to an OOM kill, and two hours later one of a new image that does not."""
    made = cluster(
        {"frontend": ("server",)},
        start=START,
        end=END,
        every=EVERY,
        replicas=1,
        rollout_every=CHANGE - START,
        has_nodes=False,
    )
    for one in made:
        if one.metric == "container_memory_working_set_bytes":
            yield replace(one, value=memory if leaks else lambda at: 200.0 * MIB)
            is_old = one.start < CHANGE
            pod = {name: one.labels[name] for name in ("namespace", "pod", "container")}
            image = {"image_spec": OLD if is_old else NEW, "image": f"docker.io/{OLD if is_old else NEW}"}
            yield replace(one, metric="kube_pod_container_info", labels={**pod, **image}, value=lambda at: 1)
            if is_old:
                reason = {**pod, "reason": "OOMKilled"}
                yield replace(
                    one,
                    metric="kube_pod_container_status_last_terminated_reason",
                    labels=reason,
                    value=lambda at: 1,
                    start=KILL + EVERY,
                )
        elif one.metric == "kube_pod_container_status_restarts_total":
            yield replace(one, value=lambda at: float(KILL <= at < CHANGE))
        else:
            yield one


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(backfill(list(frontend()), tmp_path_factory.mktemp("leak"))) as address:
        yield address


def test_each_image_is_known_with_when_it_was_seen_first_and_last(url: str) -> None:
    end = datetime.fromtimestamp(END, UTC)
    window = Window(end - timedelta(days=6), end, timedelta(minutes=5))
    fleet = PrometheusFleet(PrometheusSource(url, retries=0))
    old, new = fleet.images(Workload("shop", "frontend"), window)
    assert (old.container, old.image, new.image) == ("server", OLD, NEW)
    assert old.start == window.start
    assert abs(old.end - datetime.fromtimestamp(CHANGE, UTC)) <= window.step
    assert abs(new.start - datetime.fromtimestamp(CHANGE, UTC)) <= window.step
    assert new.end == window.end
    assert fleet.images(Workload("shop", "cart"), window) == ()
    assert any("image_spec" in text for _, text in fleet.asked)


def told(url: str, folder: Path, *flags: str) -> dict[str, Any]:
    ask = (
        "recommend",
        "-n",
        "shop",
        "frontend",
        "--prometheus",
        url,
        "--no-kubernetes",
        "--history",
        "6d",
        "-o",
        "json",
    )
    done = running.mora(*ask, *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["recommendations"]
    assert isinstance(one, dict)
    return one


def test_a_leak_that_a_new_image_mended_is_left_out_of_the_number_only_where_asked_for(
    url: str, tmp_path: Path
) -> None:
    whole, less = told(url, tmp_path), told(url, tmp_path, "--exclude-incidents", "certain")
    assert less["memory_request_bytes"]["goal"] < 0.7 * whole["memory_request_bytes"]["goal"]
    reasons = {reason["code"]: reason["text"] for reason in less["reasons"]}
    text = reasons["incidents-left-out"]
    # The grid of the samples follows the clock of the command, so each moment may be told a step or two later.
    told_rise = re.search(r"memory of server rose for (\d+)h from", text)
    assert told_rise, text
    assert int(told_rise[1]) in (31, 32), text
    for moment, at in (
        (r"to an OOM kill at ([-\d]+ [:\d]+) UTC", KILL),
        (r"image changed at ([-\d]+ [:\d]+) UTC", CHANGE),
    ):
        found = re.search(moment, text)
        assert found, text
        assert 0 <= datetime.fromisoformat(f"{found[1]}+00:00").timestamp() - at <= 15 * 60, text
    assert f"from {OLD} to {NEW}" in text
    assert "incidents-left-out" not in {reason["code"] for reason in whole["reasons"]}
    asked_for = {reason["code"]: reason["text"] for reason in less["memory_request_bytes"]["reasons"]}
    assert "with the incidents left in it would be" in asked_for["incidents-left-out"]
