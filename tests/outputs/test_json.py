"""The JSON for programs: units in names, integers for amounts, null for what is not known."""

from __future__ import annotations

import json as standard
from typing import Any

import jsonschema
import pytest

from mora.outputs import json
from mora.quantities import parse_cpu, parse_memory
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
        "quantity": {"type": ["string", "null"]},
        "is_unset": {"type": "boolean"},
        "change_ratio": {"type": ["number", "null"]},
        "confidence": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "holds": {"type": "integer", "minimum": 0},
        "reasons": {**_REASONS, "minItems": 1},
    },
    "required": ["now", "value", "is_unset", "change_ratio", "confidence", "holds", "reasons"],
    "additionalProperties": False,
}
_AMOUNTS = ("cpu_request_millicores", "cpu_limit_millicores", "memory_request_bytes", "memory_limit_bytes")
SCHEMA = {
    "type": "object",
    "properties": {
        "schema_version": {"const": 1},
        "recommendations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{name: {"type": "string"} for name in ("namespace", "service", "kind", "container")},
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
                    "current": {"type": "object"},
                    "target": {"type": "object"},
                },
                "required": [*_AMOUNTS, "replicas", "service", "reasons", "current", "target", "hpa", "as_of", "load"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema_version", "recommendations"],
    "additionalProperties": False,
}


def test_the_document_holds_to_its_schema() -> None:
    document = standard.loads(golden("everything.json", json.render(examples.everything())))
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


def test_what_is_not_known_is_null() -> None:
    item = standard.loads(json.render([examples.unknown()]))["recommendations"][0]
    assert (item["cpu_request_millicores"]["value"], item["cpu_request_millicores"]["confidence"]) == (None, None)
    assert item["load"] is None
    assert item["hpa"]["average_value_millicores"] is None


def test_no_recommendations_are_an_empty_list() -> None:
    assert standard.loads(json.render([])) == {"schema_version": 1, "recommendations": []}


@pytest.mark.parametrize("field", ["current", "target"])
def test_the_allocations_before_and_after_are_whole(field: str) -> None:
    item = standard.loads(json.render([examples.frontend()]))["recommendations"][0][field]
    assert [container["name"] for container in item["containers"]] == ["server", "istio-proxy"]
    assert item["replicas"] == {"current": 3, "target": 2}[field]
