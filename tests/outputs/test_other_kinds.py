"""Workloads of kinds that MOrA writes no patch for: every output has them, and none writes anything for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mora import registry
from mora.domain import Recommendation, Workload
from mora.errors import NotEnoughData
from mora.outputs.changes import is_due
from mora.outputs.patches import json_patch, rollback_patch, strategic_patch
from tests.outputs import examples

KAFKA = replace(examples.frontend(), workload=Workload("shop", "kafka", "StrimziPodSet"), autoscalers=(), retargets=())
WRITING = ("patch", "kustomize", "vpa", "hpa", "commands", "resize")
READING = ("table", "json", "csv", "pr-body", "explain")


def printed(output: str, *recommendations: Recommendation) -> str:
    return str(registry.load("outputs", output)(list(recommendations)))


def test_there_is_no_patch_and_no_change_is_due() -> None:
    assert (strategic_patch(KAFKA), rollback_patch(KAFKA), json_patch(KAFKA)) == ({}, {}, [])
    assert not is_due(KAFKA)


@pytest.mark.parametrize("output", WRITING)
def test_alone_it_is_an_error_and_beside_others_a_remark(output: str) -> None:
    both = printed(output, examples.frontend(), KAFKA)
    code = [line for line in both.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert not any("kafka" in line.lower() for line in code)
    assert "kafka" in both
    with pytest.raises(NotEnoughData, match="StrimziPodSet"):
        printed(output, KAFKA)


@pytest.mark.parametrize("output", READING)
def test_where_numbers_are_read_its_own_are_there(output: str) -> None:
    assert "kafka" in printed(output, examples.frontend(), KAFKA)
    assert "kafka" in printed(output, KAFKA)


def test_the_kind_is_in_what_programs_read() -> None:
    (found,) = json.loads(printed("json", KAFKA))["recommendations"]
    assert (found["kind"], found["service"]) == ("StrimziPodSet", "kafka")


def test_the_text_says_where_the_numbers_are_set() -> None:
    assert "the Kafka resource or its node pools" in printed("commands", examples.frontend(), KAFKA)
