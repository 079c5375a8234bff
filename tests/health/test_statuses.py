from __future__ import annotations

import json

from mora.health.board import Status
from mora.health.events import State
from mora.health.monitor import Reading
from mora.health.statuses import status_document, statuses_text
from tests.health.watching import START, STEP

SICK = Status(
    "shop",
    "frontend",
    "robust-z",
    "quantile",
    STEP,
    reading=Reading(START, State.ABNORMAL, 6.0, 4.0, {"cpu_cores_value": 0.9, "mem_bytes_value": 0.1}),
    since=START,
    alarms=1,
)
LOST = Status("shop", "cart", "robust-z", "quantile", STEP, problem="Prometheus cannot be reached.")


def test_a_table_has_a_row_a_service_and_the_reasons_below() -> None:
    lines = statuses_text([LOST, SICK]).splitlines()
    assert lines[1].split() == ["shop/cart", "unknown", "-", "-", "-", "-"]
    assert lines[2].split() == [
        *("shop/frontend", "abnormal", "1.50", "cpu_cores_value"),
        *("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z"),
    ]
    assert lines[-1] == "shop/cart: Prometheus cannot be reached."


def test_a_document_is_plain_json_with_null_for_what_is_not_known() -> None:
    sick, lost = (json.loads(json.dumps(status_document(one), allow_nan=False)) for one in (SICK, LOST))
    assert sick["contributions"] == [
        {"metric": "cpu_cores_value", "share": 0.9},
        {"metric": "mem_bytes_value", "share": 0.1},
    ]
    assert (sick["score_in_thresholds"], sick["state"]) == (1.5, "abnormal")
    assert (lost["state"], lost["score"], lost["as_of"]) == ("unknown", None, None)
    assert sick.keys() == lost.keys()
