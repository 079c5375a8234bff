"""Incidents that were named: how they are read, whom they concern, and both numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import ContainerHistory, Recommendation, Workload, WorkloadHistory, WorkloadState
from mora.errors import BadInput
from mora.fleet.incidents import Incident, annotated_incidents, read_incidents, without_effect, without_incidents
from mora.fleet.settings import FleetSettings, check_overrides, sizing_of
from mora.fleet.spans import Span
from mora.fleet.stream import stream
from mora.quantities import MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    FRONTEND,
    NOW,
    SAMPLES,
    STEP,
    WINDOW,
    annotated,
    codes,
    container_history,
    history,
    state,
    steady,
    words,
)

BEGIN, END = NOW - timedelta(days=3), NOW - timedelta(days=3) + timedelta(hours=4)
INCIDENT = Incident(Span(BEGIN, END), "labels.csv", "cpu-hog", "shop", "frontend")


def at(moment: datetime) -> int:
    return round((moment - WINDOW.start) / STEP)


def troubled(**fields: Any) -> ContainerHistory:
    """Steady use, but for four hours three days ago: five times the CPU, twice the memory."""
    cpu, memory = steady(), steady(200 * MIB, seed=2)
    cpu[at(BEGIN) : at(END)] *= 5
    memory[at(BEGIN) : at(END)] *= 2
    return container_history(cpu_cores=cpu, mem_bytes=memory, **fields)


def sized(
    seen: WorkloadHistory,
    incidents: Sequence[Incident] = (INCIDENT,),
    of: WorkloadState | None = None,
    settings: FleetSettings = AT_ONCE,
) -> Recommendation:
    (advice,) = stream([of or state()], [seen], WINDOW, replace(settings, incidents=tuple(incidents)))
    return advice


# --- both numbers ----------------------------------------------------------------------------------------------------


def test_a_named_incident_is_left_out_and_both_numbers_are_shown() -> None:
    usual = sized(history(), ()).main
    whole = sized(history(troubled()), ()).main
    less = sized(history(troubled()))
    assert (less.main.memory_request.value or 0) < (whole.memory_request.value or 0)
    assert less.main.memory_request.value == pytest.approx(usual.memory_request.value, rel=0.02)
    assert f"with the incidents left in it would be {(whole.memory_request.value or 0) // MIB}Mi" in words(
        less.main.memory_request
    )
    assert "incidents-left-out" in codes(less.main.cpu_request)
    assert "1 incident left out (49 samples): 2026-11-17 12:00 UTC to 2026-11-17 16:00 UTC" in words(less)
    assert "cpu-hog, labels.csv" in words(less)


def test_where_an_incident_changes_no_number_that_is_shown_too() -> None:
    advice = sized(history())
    assert "the same with the incidents left in" in words(advice.main.memory_request)


def test_evidence_says_what_is_left_out_and_who_named_it() -> None:
    evidence = sized(history(troubled())).main.evidence
    assert evidence is not None
    assert len(evidence.left_out) == 1
    assert evidence.left_out[0].endswith("49 samples (cpu-hog, an incident of labels.csv)")
    assert evidence.expected == SAMPLES - 49


def test_an_incident_outside_of_the_history_or_of_others_changes_nothing() -> None:
    plain = sized(history(troubled()), ())
    before = replace(INCIDENT, span=Span(NOW - timedelta(days=90), NOW - timedelta(days=89)))
    for other in (before, replace(INCIDENT, workload="cart"), replace(INCIDENT, namespace="web")):
        assert sized(history(troubled()), [other]) == plain


def test_an_oom_kill_in_an_incident_raises_nothing_and_one_outside_of_it_does() -> None:
    row = at(END) - 1
    killed = troubled(oom_kills=1, oom_rows=(row,), oom_limit_bytes=512.0 * MIB, restarts=1)
    advice = sized(history(killed))
    assert "oom-bump" not in codes(advice.main.memory_request)
    assert "1 OOM kill in it did not raise memory" in words(advice)
    twice = replace(killed, oom_kills=2, oom_rows=(row, SAMPLES - DAY))
    assert "oom-bump" in codes(sized(history(twice)).main.memory_request)
    # When it happened is not known: it stays.
    unknown = replace(killed, oom_rows=())
    assert "oom-bump" in codes(sized(history(unknown)).main.memory_request)


def test_the_annotation_of_a_workload_names_its_incidents() -> None:
    text = f"{BEGIN.isoformat()}/{END.isoformat()}"
    of = state(annotations=annotated(incidents=text))
    advice = sized(history(troubled()), (), of)
    assert "incidents-left-out" in codes(advice.main.cpu_request)
    assert "annotation mora.dev/incidents" in words(advice)
    wrong = state(annotations=annotated(incidents="yesterday"))
    with pytest.raises(BadInput, match=r"mora\.dev/incidents: 'yesterday' is not START/END"):
        sizing_of(wrong, AT_ONCE)
    with pytest.raises(BadInput, match=r"mora\.dev/incidents"):
        check_overrides([wrong], AT_ONCE)


def test_cuts_are_deferred_in_an_incident_although_it_is_left_out() -> None:
    cpu = steady()
    cpu[SAMPLES - 6 :] *= 3
    now = Incident(Span(NOW - timedelta(minutes=30), NOW + timedelta(hours=1)), "--exclude-incidents")
    advice = sized(history(container_history(cpu_cores=cpu)), [now])
    assert advice.main.memory_request.value == 512 * MIB
    assert "deferred-abnormal" in codes(advice)


def test_only_the_samples_of_incidents_are_gone() -> None:
    whole = history(troubled())
    less = without_incidents(whole, [INCIDENT]).containers["server"]
    gone = np.isnan(less.cpu_cores)
    assert gone[at(BEGIN) : at(END) + 1].all()
    assert gone.sum() == 49
    kept = whole.containers["server"].cpu_cores[~gone]
    assert np.array_equal(less.cpu_cores[~gone], kept)
    assert without_incidents(whole, []) is whole


# --- whom they concern -----------------------------------------------------------------------------------------------


def test_an_incident_concerns_its_workload_its_pods_or_all() -> None:
    span = Span(BEGIN, END)
    assert Incident(span, "x").concerns(FRONTEND)
    assert Incident(span, "x", namespace="shop").concerns(FRONTEND)
    assert not Incident(span, "x", namespace="web").concerns(FRONTEND)
    assert not Incident(span, "x", workload="front").concerns(FRONTEND)
    assert Incident(span, "x", pod="frontend-579b9bff58-t2dbm").concerns(FRONTEND)
    for pod in ("frontend", "frontend-0", "frontend-x2lq4", "frontend-29384756-x2lq4"):
        assert Incident(span, "x", pod=pod).concerns(FRONTEND)
    for pod in ("frontender-0", "frontend-canary-579b9bff58-t2dbm", "frontend-db-0", "frontend-", "cart-0"):
        assert not Incident(span, "x", pod=pod).concerns(FRONTEND)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_time_range_is_an_incident_of_all() -> None:
    (one,) = read_incidents(["2026-11-01T00:00/2026-11-01T06:00"], now=NOW)
    assert one == Incident(
        Span(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)), "--exclude-incidents"
    )


def test_labels_of_chaos_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "id,fault,namespace,service,start,end,strength,seed\n"
        "f1,cpu-hog,shop,frontend,2026-11-17T12:00:00Z,2026-11-17T16:00:00Z,1,7\n"
        "f2,latency,shop,cart,2026-11-18T12:00:00Z,2026-11-18T12:05:00Z,1,7\n"
    )
    first, second = read_incidents([str(path)], now=NOW)
    assert first == INCIDENT
    assert (second.name, second.workload) == ("latency", "cart")


def test_alerts_of_alertmanager_are_read_ended_or_not(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    labels = {"alertname": "CartDown", "namespace": "shop", "deployment": "cart"}
    alerts = [
        {"labels": labels, "startsAt": "2026-11-17T12:00:00Z", "endsAt": "2026-11-17T13:00:00.123Z"},
        {"labels": {"alertname": "Slow"}, "startsAt": "2026-11-20T11:00:00Z", "endsAt": "0001-01-01T00:00:00Z"},
        {"labels": {"pod": "cart-7c9f-x2lq4"}, "startsAt": "2026-11-20T11:00:00Z", "endsAt": "2026-11-20T15:00:00Z"},
    ]
    for document in (alerts, {"alerts": alerts, "status": "firing"}):
        path.write_text(json.dumps(document))
        ended, firing, ahead = read_incidents([str(path)], now=NOW)
        assert (ended.name, ended.namespace, ended.workload) == ("CartDown", "shop", "cart")
        assert firing.span.end == ahead.span.end == NOW
        assert ahead.concerns(Workload("shop", "cart"))


def test_an_alert_on_a_pod_is_of_its_workload_and_not_of_the_exporter_that_was_scraped(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    labels = {"namespace": "shop", "pod": "frontend-579b9bff58-t2dbm", "container": "server", "service": "metrics"}
    path.write_text(json.dumps([{"labels": labels, "startsAt": "2026-11-17T12:00:00Z", "endsAt": None}]))
    (one,) = read_incidents([str(path)], now=NOW)
    assert one.concerns(FRONTEND)
    assert not one.concerns(Workload("shop", "metrics"))


def test_a_table_that_a_spreadsheet_wrote_is_read_and_tags_that_are_none_are_no_error(tmp_path: Path) -> None:
    table, document = tmp_path / "a.csv", tmp_path / "a.json"
    table.write_text("start,end\n2026-11-17T12:00Z,2026-11-17T15:00Z\n", encoding="utf-8-sig")
    document.write_text('[{"time": 1, "timeEnd": 2000, "tags": 5}]')
    assert [one.workload for one in read_incidents([str(table), str(document)], now=NOW)] == ["", ""]


def test_incidents_that_leave_nothing_out_are_named() -> None:
    old = replace(INCIDENT, span=Span(NOW - timedelta(days=90), NOW - timedelta(days=89)))
    assert without_effect([INCIDENT], [FRONTEND, Workload("shop", INCIDENT.workload or "cart")], WINDOW) is None
    told = without_effect([INCIDENT, old, replace(INCIDENT, workload="nobody")], [Workload("shop", "frontend")], WINDOW)
    assert told is not None
    assert told.count(str(INCIDENT.span)) >= 1
    assert "outside of the history" in told
    assert "of no workload that is asked for" in told


def test_annotations_of_grafana_are_read_by_their_tags(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    begin, end = (round(moment.timestamp() * 1000) for moment in (BEGIN, END))
    path.write_text(
        json.dumps([{"id": 1, "time": begin, "timeEnd": end, "text": "redis", "tags": ["incident", "service:cart"]}])
    )
    (one,) = read_incidents([str(path)], now=NOW)
    assert (one.span, one.name, one.workload) == (Span(BEGIN, END), "redis", "cart")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.csv", "when,what\n1,2\n", "no columns start and end"),
        ("a.csv", "start,end\n2026-11-17T12:00Z,soon\n", "a.csv, line 2: 'soon' is no time"),
        ("a.csv", "start,end\n2026-11-17T12:00Z,2026-11-17T12:00Z\n", "ends before it starts"),
        ("a.json", "{", "this is not JSON"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"status": "success"}', "no list of Grafana's annotations"),
        ("a.json", '[{"time": 1, "text": "a point"}]', "a point in time is no incident"),
        ("a.json", '[{"time": 1e18, "timeEnd": 2e18}]', "no time in milliseconds"),
        ("a.json", '[{"startsAt": "2026-11-17T12:00:00Z"}]', "an alert has labels"),
        ("a.json", '[{"startsAt": "then", "labels": {}}]', "'then' is no time"),
    ],
)
def test_a_file_that_names_no_incident_is_a_clear_error(tmp_path: Path, name: str, text: str, what: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=what):
        read_incidents([str(path)], now=NOW)


def test_what_is_neither_file_nor_time_range_and_a_file_without_text_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a file nor a time range"):
        read_incidents(["last tuesday"], now=NOW)
    with pytest.raises(BadInput, match="ends before it starts"):
        read_incidents(["2026-11-02T00:00/2026-11-01T00:00"], now=NOW)
    with pytest.raises(BadInput, match="cannot be read"):
        read_incidents([str(tmp_path / "missing.csv")], now=NOW)
    binary = tmp_path / "a.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is no CSV"):
        read_incidents([str(binary)], now=NOW)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_an_annotation(text: str) -> None:
    try:
        found = annotated_incidents([text], "annotation")
    except BadInput:
        return
    assert found[0].span.start < found[0].span.end
