"""The JSON for programs: units in names, integers for amounts, null for what is not known."""

from __future__ import annotations

import json as standard
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from mora.outputs import OutputSettings, json
from mora.quantities import MIB, parse_cpu, parse_memory
from mora.savings import Prices
from tests.outputs import examples
from tests.outputs.golden import golden

_REASONS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"code": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}, "text": {"type": "string"}},
        "required": ["code", "text"],
        "additionalProperties": False,
    },
}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_ADVICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "now": _COUNT,
        "value": _COUNT,
        "goal": _COUNT,
        "quantity": {"type": ["string", "null"]},
        "is_unset": {"type": "boolean"},
        "change_ratio": {"type": ["number", "null"]},
        "confidence": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "windows": {"type": "integer", "minimum": 0},
        "summary": {"type": "string"},
        "reasons": {**_REASONS, "minItems": 1},
    },
    "required": ["now", "value", "goal", "is_unset", "change_ratio", "confidence", "windows", "summary", "reasons"],
    "additionalProperties": False,
}
_AMOUNTS = ("cpu_request_millicores", "cpu_limit_millicores", "memory_request_bytes", "memory_limit_bytes")
_NUMBER = {"type": "number"}
_INTEGER = {"type": "integer"}
_FLAG = {"type": "boolean"}
_NAME = {"type": ["string", "null"]}
_FIGURE = {"type": ["number", "null"]}
_MOMENT = {"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_EVIDENCE = {
    "type": ["object", "null"],
    "properties": {
        **dict.fromkeys(("start", "end", "cpu_peak_at", "mem_peak_at"), _MOMENT),
        **dict.fromkeys(("step_seconds", "samples", "expected", "pods", "oom_kills", "restarts"), _NUMBER),
        **dict.fromkeys(("cpu_level_cores", "cpu_peak_cores", "mem_peak_bytes", "throttled_ratio"), _FIGURE),
        **dict.fromkeys(("cpu_samples", "mem_samples"), _FIGURE),
        **dict.fromkeys(("cpu_peak_pod", "mem_peak_pod"), _NAME),
        "excluded": {"type": "array", "items": {"type": "string"}},
        "abnormal": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["start", "end", "metric"],
                "properties": {"start": _MOMENT, "end": _MOMENT, "metric": {"type": "string"}},
            },
        },
        "queries": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "additionalProperties": False,
}
_CONTAINER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "role": {"enum": ["app", "sidecar", "native-sidecar", "init"]},
        **dict.fromkeys(("is_main", "is_injected"), _FLAG),
        **dict.fromkeys(_AMOUNTS, _ADVICE),
        "reasons": _REASONS,
        "evidence": _EVIDENCE,
    },
    "required": ["name", "role", "is_main", "is_injected", *_AMOUNTS, "reasons", "evidence"],
    "additionalProperties": False,
}
_SCALERS = {"type": "array", "items": {"type": "object", "required": ["name", "resource", "target"]}}
_SAVINGS = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("cores", "memory_gib", "cores_now", "memory_gib_now"), _NUMBER),
        **dict.fromkeys(("new_cores", "new_memory_gib"), _NUMBER),
        **dict.fromkeys(("without_request", "without_replicas", "held_by_init"), _INTEGER),
        "prices": {"type": ["object", "null"]},
        "money_per_month": _FIGURE,
        "goal": {"type": "object", "required": ["cores", "memory_gib", "money_per_month"]},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "schema_version": {"const": 2},
        "recommendations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{name: {"type": "string"} for name in ("namespace", "service", "kind", "container")},
                    "cluster": {"type": ["string", "null"]},
                    "as_of": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
                    "load": {"type": ["object", "null"], "required": ["scenario", "users"]},
                    "model_digest": {"type": ["string", "null"]},
                    **dict.fromkeys((*_AMOUNTS, "replicas"), _ADVICE),
                    "hpa": {
                        "type": "object",
                        "properties": dict.fromkeys(
                            ("average_value_millicores", "min_replicas", "max_replicas"), _COUNT
                        ),
                        "additionalProperties": False,
                    },
                    "reasons": _REASONS,
                    "basis": {"enum": ["model", "history", "both", "none"]},
                    "model_as_of": _MOMENT,
                    "evidence": _EVIDENCE,
                    "containers": {"type": "array", "items": _CONTAINER, "minItems": 1},
                    "autoscalers": _SCALERS,
                    "retargets": _SCALERS,
                    "current": {"type": "object"},
                    "target": {"type": "object"},
                    "goal": {"type": "object"},
                },
                "required": [
                    *(*_AMOUNTS, "replicas", "service", "reasons", "current", "target", "goal", "hpa", "as_of", "load"),
                    *("basis", "model_as_of", "model_digest"),
                ],
                "additionalProperties": False,
            },
        },
        "savings": _SAVINGS,
    },
    "required": ["schema_version", "recommendations", "savings"],
    "additionalProperties": False,
}


def test_the_document_is_valid_against_its_schema() -> None:
    document = standard.loads(golden("fleet.json", json.render(examples.fleet(), OutputSettings(prices=Prices()))))
    jsonschema.validate(document, SCHEMA)


def test_numbers_and_quantities_say_the_same() -> None:
    for item in standard.loads(json.render(examples.everything()))["recommendations"]:
        for name in _AMOUNTS:
            advice = item[name]
            if advice["value"] is None:
                assert advice["quantity"] is None
            else:
                parse = parse_cpu if name.startswith("cpu") else parse_memory
                assert parse(advice["quantity"]) == advice["value"]


def test_this_step_and_the_goal_behind_it_are_two_numbers_and_two_totals() -> None:
    document = standard.loads(json.render([examples.cart()], OutputSettings(prices=Prices())))
    (item,) = document["recommendations"]
    memory = item["memory_request_bytes"]
    assert (memory["now"], memory["value"], memory["goal"]) == (512 * MIB, 359 * MIB, 230 * MIB)
    resources = [item[side]["containers"][0]["memory_request_bytes"] for side in ("current", "target", "goal")]
    assert resources == [512 * MIB, 359 * MIB, 230 * MIB]
    step, goal = document["savings"], document["savings"]["goal"]
    assert (step["memory_gib"], goal["memory_gib"]) == (round(2 * 153 / 1024, 6), round(2 * 282 / 1024, 6))
    assert goal["money_per_month"] > step["money_per_month"] > 0


def test_what_is_not_known_is_null() -> None:
    item = standard.loads(json.render([examples.unknown()]))["recommendations"][0]
    assert (item["cpu_request_millicores"]["value"], item["cpu_request_millicores"]["confidence"]) == (None, None)
    assert item["load"] is None
    assert item["hpa"]["average_value_millicores"] is None


def test_the_date_of_the_model_stands_beside_the_basis_and_is_null_without_a_model() -> None:
    trained = replace(examples.frontend(), model_as_of=datetime(2026, 11, 19, 23, 0, 30, tzinfo=UTC))
    items = standard.loads(json.render([trained, examples.unknown()]))["recommendations"]
    assert [(item["basis"], item["model_as_of"]) for item in items] == [
        ("model", "2026-11-19T23:00:30Z"),
        (examples.unknown().basis, None),
    ]


def test_no_recommendations_are_an_empty_list() -> None:
    document = standard.loads(json.render([]))
    assert (document["schema_version"], document["recommendations"]) == (2, [])
    assert document["savings"]["cores"] == 0


def test_every_container_is_there_the_main_one_first_and_the_same_as_at_the_top() -> None:
    item = standard.loads(json.render([examples.meshed()]))["recommendations"][0]
    names = [(container["name"], container["role"]) for container in item["containers"]]
    assert names[0] == ("web", "app")
    assert sorted(names[1:]) == [
        *(("cache", "app"), ("istio-proxy", "sidecar"), ("logs", "native-sidecar"), ("migrate", "init")),
    ]
    for name in _AMOUNTS:
        assert item[name] == item["containers"][0][name]
    assert item["evidence"]["mem_peak_pod"] == "web-7c9f-b81kd"
    assert [c["name"] for c in item["containers"] if c["is_injected"]] == ["istio-proxy"]


@pytest.mark.parametrize("field", ["current", "target"])
def test_the_allocations_before_and_after_are_complete(field: str) -> None:
    item = standard.loads(json.render([examples.frontend()]))["recommendations"][0][field]
    assert [container["name"] for container in item["containers"]] == ["server", "istio-proxy"]
    assert item["replicas"] == {"current": 3, "target": 2}[field]
