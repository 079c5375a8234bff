"""Calls that failed, as a real Prometheus with Istio's metrics tells them, from the series to the number."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora.domain import Window, Workload
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests import running
from tests.sources.rig import Series, backfill, cluster, serve

MIB = 2**20
HOUR = 3600
EVERY = 120
# Ahead of the clock: the series are made when the tests are collected, and asked for when it is their turn.
END = time.time() // 300 * 300 + 2 * HOUR
START = END - 3 * 24 * HOUR
DOWN = START + 30 * HOUR
UP = DOWN + HOUR
RATE = 20.0


def requests(source: str, to: str, code: str, share: float, reporter: str, **labels: str) -> Series:
    """A counter of so many requests a second; of failures alone where the code is one."""

    def value(at: float) -> float:
        outage = min(max(at - DOWN, 0.0), UP - DOWN)
        return RATE * ((at - START - outage) if code == "200" else outage) * share

    return Series(
        "istio_requests_total",
        {
            "reporter": reporter,
            "source_workload": source,
            "source_workload_namespace": "shop",
            "destination_workload": to,
            "destination_workload_namespace": "shop",
            "response_code": code,
            **labels,
        },
        value,
        START,
        END,
        EVERY,
    )


def shop() -> Iterator[Series]:
    """frontend calls cart, which is down for an hour, and list, which is well; memory of frontend rises meanwhile."""
    services: dict[str, tuple[str, ...]] = {"frontend": ("server",)}
    for one in cluster(services, start=START, end=END, every=EVERY, replicas=1, has_nodes=False):
        if one.metric == "container_memory_working_set_bytes":
            yield replace(one, value=lambda at: (500 if DOWN <= at < UP else 200 + 5 * math.sin(at / 700)) * MIB)
        else:
            yield one
    for code in ("200", "503"):
        yield requests("frontend", "cart", code, 1.0, "source")
        # What was answered by another than frontend is no matter of it.
        yield requests("admin", "cart", code, 1.0, "source")
    yield replace(requests("frontend", "list", "200", 1.0, "source"), value=lambda at: RATE * (at - START))
    yield replace(requests("gateway", "frontend", "200", 1.0, "destination"), value=lambda at: RATE * (at - START))
    yield requests("frontend", "cart} or up", "503", 1.0, "source")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(backfill(list(shop()), tmp_path_factory.mktemp("outage"))) as address:
        yield address


def test_a_destination_that_was_down_is_found_with_its_time_and_the_requests_meanwhile(url: str) -> None:
    end = datetime.fromtimestamp(END, UTC)
    window = Window(end - timedelta(days=3), end, timedelta(minutes=5))
    fleet = PrometheusFleet(PrometheusSource(url, retries=0))
    (calls,) = fleet.failing_calls(Workload("shop", "frontend"), window)
    assert calls.destination == "cart"
    out = np.flatnonzero(np.nan_to_num(calls.failed) >= 0.5)
    moments = [window.start + int(row) * window.step for row in (out[0], out[-1])]
    for moment, at in zip(moments, (DOWN, UP), strict=True):
        assert abs(moment - datetime.fromtimestamp(at, UTC)) <= 2 * window.step
    assert np.nanmedian(calls.requests) == pytest.approx(RATE, rel=0.01)
    assert fleet.failing_calls(Workload("shop", "cart"), window) == ()
    asked = [text for _, text in fleet.asked]
    assert any("istio_requests_total" in text for text in asked)
    # Of a workload all of whose calls succeed nothing more is asked.
    quiet = PrometheusFleet(PrometheusSource(url, retries=0))
    quiet.failing_calls(Workload("shop", "list"), window)
    assert len(quiet.asked) == 1


def test_another_clusters_calls_are_none_of_it(url: str) -> None:
    end = datetime.fromtimestamp(END, UTC)
    window = Window(end - timedelta(days=1), end, timedelta(minutes=5))
    fleet = PrometheusFleet(PrometheusSource(url, retries=0), cluster="other")
    assert fleet.failing_calls(Workload("shop", "frontend"), window) == ()


def told(url: str, folder: Path, *flags: str) -> dict[str, Any]:
    ask = ("recommend", "-n", "shop", "frontend", "--prometheus", url, "--no-kubernetes", "--history", "3d")
    done = running.mora(*ask, "-o", "json", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["recommendations"]
    assert isinstance(one, dict)
    return one


def test_memory_of_an_outage_is_left_out_of_the_number_only_where_asked_for(url: str, tmp_path: Path) -> None:
    whole, less = told(url, tmp_path), told(url, tmp_path, "--exclude-incidents", "certain")
    assert less["memory_request_bytes"]["goal"] < 0.7 * whole["memory_request_bytes"]["goal"]
    reasons = {reason["code"]: reason["text"] for reason in less["reasons"]}
    assert "of the calls to cart failed for 1h" in reasons["incidents-left-out"]
    assert "20 requests/s came in meanwhile, as usual" in reasons["incidents-left-out"]
    assert "incidents-left-out" not in {reason["code"] for reason in whole["reasons"]}
