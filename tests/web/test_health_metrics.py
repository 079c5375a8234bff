"""The metrics of health: right for promtool, whole, unknown where nothing is known, and made once for all scrapes."""

from __future__ import annotations

import re
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mora.health.board import Board, Status
from mora.health.events import State
from mora.health.monitor import Reading
from mora.tools import find_tool
from mora.web.health_metrics import FAMILIES, HealthMetrics, render
from tests.health.watching import START, STEP, Clock

SHARES = {"cpu_cores_value": 0.6, "latency_p95_seconds": 0.3, "mem_bytes_value": 0.08, "error_ratio": 0.02}


def status(state: State = State.ABNORMAL, service: str = "frontend", detector: str = "autoencoder") -> Status:
    reading = Reading(START, state, 6.0, 2.0, SHARES) if state in (State.ABNORMAL, State.HEALTHY) else None
    return Status(
        "shop",
        service,
        detector,
        "quantile",
        STEP,
        trained_at=START - timedelta(days=2),
        reading=reading or Reading(START, state),
        since=START,
        alarms=3,
        drift=1.25,
        errors=((0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1), 12.5) if detector == "autoencoder" else None,
    )


def board_of(*statuses: Status) -> Board:
    board = Board()
    board.put(statuses, START)
    return board


def values(text: bytes) -> dict[str, float]:
    found = {}
    for line in text.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_promtool_finds_nothing_wrong() -> None:
    text = render(board_of(status(), status(State.UNKNOWN, "cart"), status(State.HEALTHY, "web")).shown(), START)
    told = subprocess.run(
        [str(find_tool("promtool")), "check", "metrics"], input=text, capture_output=True, check=False
    )
    # Its advice is told on stderr, too; the one that is left is of a name that the issue gives.
    assert told.returncode == 0, told.stderr
    assert not told.stderr, told.stderr


def test_a_sick_service_has_its_score_state_metrics_and_model() -> None:
    found = values(render(board_of(status()).shown(), START))
    place = 'namespace="shop",service="frontend"'
    of = f'{{{place},detector="autoencoder"}}'
    assert found[f"mora_anomaly_score{of}"] == 6
    assert found[f"mora_anomaly_threshold{of}"] == 2
    assert found[f"mora_anomaly{of}"] == 1
    assert found[f"mora_health_score{of}"] == 3
    assert found[f'mora_health_state{{{place},state="abnormal"}}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("mora_health_state")) == 1
    shares = {name: value for name, value in found.items() if name.startswith("mora_health_contribution_ratio")}
    assert list(shares.values()) == [0.6, 0.3, 0.08]
    assert found[f"mora_health_alarms_total{{{place}}}"] == 3
    assert found[f"mora_health_last_score_timestamp_seconds{{{place}}}"] == START.timestamp()
    assert found[f"mora_health_drift_ratio{of}"] == 1.25
    assert found[f"mora_health_model_age_seconds{of}"] == 2 * 86400
    assert found['mora_health_services{state="abnormal"}'] == 1


def test_errors_of_reconstruction_are_a_histogram() -> None:
    text = render(board_of(status(), status(service="cart", detector="robust-z")).shown(), START)
    found = values(text)
    buckets = [value for name, value in found.items() if name.startswith("mora_reconstruction_error_bucket")]
    assert buckets == [0, 0, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert [value for name, value in found.items() if name.startswith("mora_reconstruction_error_count")] == [4]
    assert [value for name, value in found.items() if name.startswith("mora_reconstruction_error_sum")] == [12.5]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.STARTING])
@pytest.mark.parametrize("has_score", [False, True])
def test_without_a_verdict_there_is_neither_a_score_nor_a_zero(state: State, has_score: bool) -> None:
    one = status(state)
    if has_score:  # as in a start-up, and where too little is known of what a score rests on
        one = replace(one, reading=Reading(START, state, 6.0, 2.0, SHARES))
    found = values(render(board_of(one).shown(), START))
    assert not any(name.startswith(("mora_anomaly", "mora_health_score")) for name in found)
    assert found[f'mora_health_state{{namespace="shop",service="frontend",state="{state}"}}'] == 1


def test_the_plain_name_is_there_by_option() -> None:
    shown = board_of(status()).shown()
    assert b"\nanomaly_score{" not in render(shown, START)
    found = values(render(shown, START, has_alias=True))
    assert found['anomaly_score{namespace="shop",service="frontend",detector="autoencoder"}'] == 6


def test_text_is_made_once_for_each_change_and_where_a_verdict_goes_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(*arguments: object, **more: object) -> bytes:
        made.append(1)
        return render(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("mora.web.health_metrics.render", counted)
    clock, board = Clock(START), board_of(status(), status(State.HEALTHY, "cart"))
    metrics = HealthMetrics(board, now=clock)
    board.changed = metrics.refresh
    texts = {metrics.text() for _ in range(5)}
    assert len(texts) == len(made) == 1
    clock.move(10 * STEP)
    stale = values(metrics.text())
    assert stale['mora_health_services{state="unknown"}'] == 2
    assert not any(name.startswith("mora_anomaly{") for name in stale)
    metrics.text()
    assert len(made) == 2
    board.put([status()], clock())
    metrics.text()
    assert len(made) == 3


def test_while_a_text_is_made_a_scrape_gets_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    board = board_of(status())
    metrics = HealthMetrics(board, now=Clock(START))
    board.changed = metrics.refresh
    before = metrics.text()
    begun, scraped = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> bytes:
        begun.set()
        assert scraped.wait(120)
        return render(*arguments, **more)

    monkeypatch.setattr("mora.web.health_metrics.render", slow)
    watcher = threading.Thread(target=board.put, args=([status(State.HEALTHY)], START))
    watcher.start()
    assert begun.wait(120)
    during = metrics.text()
    scraped.set()
    watcher.join()
    assert during == before
    assert metrics.text() != before


def test_a_hostile_name_cannot_forge_a_line() -> None:
    evil = 'a"} 1\nmora_anomaly{x="\\'
    text = render(board_of(status(service=evil)).shown(), START).decode()
    assert not [line for line in text.splitlines() if line.startswith("mora_anomaly{x=")]
    assert r'service="a\"} 1\nmora_anomaly{x=\"\\"' in text


def test_ten_thousand_services_are_one_text() -> None:
    board = board_of(*(status(service=f"s{number}") for number in range(10_000)))
    found = re.findall(rb"^mora_anomaly\{", render(board.shown(), START), re.MULTILINE)
    assert len(found) == 10_000


def test_every_family_says_what_it_is() -> None:
    text = render(Board().shown(), datetime.now(UTC)).decode()
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")] == list(FAMILIES)
