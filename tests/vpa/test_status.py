"""What is written into a VPA's status: ordered, within its policy, in the CRD's form, and only where it changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Evidence, Reason, Recommendation, Role
from mora.quantities import MIB
from mora.vpa.objects import amount_of, read_vpa
from mora.vpa.status import estimate, status_patch
from tests.vpa.making import LATER, NOW, container, evidence, manifest, number, recommendation
from tests.vpa.schema import VPA_STATUS

DAY = timedelta(days=1)


def patch_of(advice: Recommendation | None, **of_vpa: Any) -> dict[str, Any]:
    """The patch of a VPA, checked against the CRD."""
    patch = status_patch(read_vpa(manifest(**of_vpa)), advice, now=NOW)
    assert patch is not None
    jsonschema.validate(patch, VPA_STATUS, format_checker=jsonschema.FormatChecker())
    return patch


def numbers(patch: dict[str, Any], name: str = "server") -> dict[str, Any]:
    listed = patch["recommendation"]["containerRecommendations"]
    return next(one for one in listed if one["containerName"] == name)


def conditions(patch: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in patch["conditions"]}


def message(patch: dict[str, Any], type_: str) -> str:
    return next(str(one["message"]) for one in patch["conditions"] if one["type"] == type_)


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_the_four_numbers_follow_the_documented_rules() -> None:
    written = numbers(patch_of(recommendation()))
    assert written["target"] == written["uncappedTarget"] == {"cpu": "180m", "memory": str(230 * MIB)}
    # CPU's p95 and memory's peak: a request below them would have been exceeded.
    assert written["lowerBound"] == {"cpu": "150m", "memory": str(200 * MIB)}
    # Two weeks and full confidence: a fourteenth above the highest of target and peak.
    assert written["upperBound"] == {"cpu": "322m", "memory": str(round(230 * MIB * 15 / 14 + 0.5))}


def test_less_history_and_less_confidence_leave_more_room_above() -> None:
    day, week = (evidence(samples=1440 * days) for days in (1, 7))
    assert estimate("cpu", number(400), week) is not None
    uppers = [
        found.upper
        for seen, confidence in ((week, 1.0), (day, 1.0), (evidence(samples=1), 1.0), (day, 0.75), (None, None))
        if (found := estimate("cpu", number(400, confidence=confidence), seen)) is not None
    ]
    assert uppers == [458, 800, 800, 900, 1200]


def test_without_evidence_there_is_no_lower_bound() -> None:
    found = estimate("memory", number(200 * MIB), None)
    assert found is not None
    assert found.lower is None


@pytest.mark.parametrize("code", ["raised-limit-bound", "oom-bump"])
def test_limit_bound_use_makes_the_target_the_lower_bound(code: str) -> None:
    found = estimate("memory", number(300 * MIB, code), evidence())
    assert found is not None
    assert found.lower == 300 * MIB


def test_an_oom_kill_makes_memorys_target_its_lower_bound_and_leaves_cpus() -> None:
    killed = evidence(oom_kills=2)
    memory, cpu = estimate("memory", number(300 * MIB), killed), estimate("cpu", number(200), killed)
    assert memory is not None
    assert cpu is not None
    assert (memory.lower, cpu.lower) == (300 * MIB, 150)


def test_the_policy_bounds_target_and_bounds_and_leaves_the_uncapped_target() -> None:
    policy = {
        "containerName": "server",
        "minAllowed": {"cpu": "250m"},
        "maxAllowed": {"cpu": "300m", "memory": "128Mi"},
    }
    patch = patch_of(recommendation(), policies=[policy])
    written = numbers(patch)
    assert [written[bound]["cpu"] for bound in ("lowerBound", "target", "upperBound")] == ["250m", "250m", "300m"]
    assert {written[bound]["memory"] for bound in ("lowerBound", "target", "upperBound")} == {str(128 * MIB)}
    assert written["uncappedTarget"] == {"cpu": "180m", "memory": str(230 * MIB)}
    assert "minAllowed raises cpu of server from 180m to 250m" in message(patch, "RecommendationProvided")
    assert "maxAllowed lowers memory of server from 230Mi to 128Mi" in message(patch, "RecommendationProvided")


def test_only_what_the_policy_controls_is_recommended() -> None:
    policies = [
        {"containerName": "server", "controlledResources": ["memory"]},
        {"containerName": "cache", "mode": "Off"},
        {"containerName": "*", "mode": "Auto"},
    ]
    advice = recommendation(container("server"), container("cache"), container("proxy", role=Role.SIDECAR))
    patch = patch_of(advice, policies=policies)
    listed = patch["recommendation"]["containerRecommendations"]
    assert [one["containerName"] for one in listed] == ["server", "proxy"]
    assert set(numbers(patch)["target"]) == {"memory"}
    assert set(numbers(patch, "proxy")["target"]) == {"cpu", "memory"}


def test_init_containers_of_either_kind_are_not_listed() -> None:
    advice = recommendation(
        container("server"), container("migrate", role=Role.INIT), container("mesh", role=Role.NATIVE_SIDECAR)
    )
    listed = patch_of(advice)["recommendation"]["containerRecommendations"]
    assert [one["containerName"] for one in listed] == ["server"]


@settings(max_examples=60, deadline=None)
@given(
    target=st.integers(1, 10**6),
    confidence=st.none() | st.floats(0, 1),
    samples=st.integers(0, 10**5),
    level=st.none() | st.floats(0, 10**3),
    peak=st.none() | st.floats(0, 10**3),
    least=st.none() | st.integers(0, 10**6),
    most=st.none() | st.integers(0, 10**6),
    codes=st.sampled_from([(), ("raised-limit-bound",), ("sized", "floor")]),
)
def test_bounds_are_ordered_and_within_the_policy_whatever_is_known(
    target: int,
    confidence: float | None,
    samples: int,
    level: float | None,
    peak: float | None,
    least: int | None,
    most: int | None,
    codes: tuple[str, ...],
) -> None:
    seen: Evidence = evidence(samples=samples, cpu_level_cores=level, cpu_peak_cores=peak)
    policy: dict[str, Any] = {"containerName": "*", "controlledResources": ["cpu"]}
    if least is not None:
        policy["minAllowed"] = {"cpu": f"{least}m"}
    if most is not None:
        policy["maxAllowed"] = {"cpu": f"{most}m"}
    advice = recommendation(container("server", number(target, *codes, confidence=confidence), seen=seen))
    written = numbers(patch_of(advice, policies=[policy]))
    amounts = {bound: amount_of("cpu", one["cpu"]) for bound, one in written.items() if bound != "containerName"}
    assert amounts["uncappedTarget"] == target
    assert amounts.get("lowerBound", 0) <= amounts["target"] <= amounts["upperBound"]
    for bound in amounts.keys() - {"uncappedTarget"}:
        assert amounts[bound] <= (most or amounts[bound])
        assert amounts[bound] >= min(least or 0, most or amounts[bound])
    # Nothing is unbounded: at worst the highest that is known, three times.
    assert written["upperBound"]["cpu"]
    assert amounts["upperBound"] <= max(3 * max(target, round((peak or 0) * 1000) + 1) + 1, least or 0)


# --- the conditions --------------------------------------------------------------------------------------------------


def test_a_recommendation_is_provided_with_the_confidence_of_each_number() -> None:
    patch = patch_of(recommendation(basis="model"))
    assert conditions(patch) == {"RecommendationProvided": ("True", "Recommended")}
    assert message(patch, "RecommendationProvided") == (
        "MOrA, from the trained model: cpu of server: confidence 100 % (20 windows); "
        "memory of server: confidence 100 % (20 windows)"
    )


def test_little_confidence_is_a_condition_and_the_number_is_given() -> None:
    patch = patch_of(recommendation(container("server", number(200, confidence=0.7))))
    assert conditions(patch)["LowConfidence"] == ("True", "LowConfidence")
    assert message(patch, "LowConfidence") == "cpu of server: confidence 70 % (20 windows)"
    assert numbers(patch)["target"]["cpu"] == "200m"


def test_few_windows_are_little_confidence_even_if_all_were_covered() -> None:
    few = replace(number(200), windows=2)
    assert message(patch_of(recommendation(container("server", few))), "LowConfidence") == (
        "cpu of server: confidence 100 % (2 windows)"
    )


def test_a_target_without_pods_is_reported_as_by_the_vpa_and_the_numbers_stay() -> None:
    patch = patch_of(None, status={"recommendation": {"containerRecommendations": [{"containerName": "server"}]}})
    assert conditions(patch) == {
        "NoPodsMatched": ("True", "NoPodsMatched"),
        "RecommendationProvided": ("False", "NoPodsMatched"),
    }
    assert message(patch, "NoPodsMatched").startswith("No pods match this VPA object")
    assert "recommendation" not in patch


def test_a_workload_scaled_to_zero_keeps_its_numbers_and_reports_that_no_pods_match() -> None:
    patch = patch_of(recommendation(replicas=0))
    assert conditions(patch)["NoPodsMatched"][0] == conditions(patch)["RecommendationProvided"][0] == "True"


def test_a_target_that_cannot_be_sized_is_unsupported_and_nothing_else_changes() -> None:
    patch = patch_of(None, target={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"})
    assert conditions(patch) == {
        "ConfigUnsupported": ("True", "ConfigUnsupported"),
        "RecommendationProvided": ("False", "ConfigUnsupported"),
    }
    assert "recommendation" not in patch


def test_a_refusal_is_the_message_of_the_condition() -> None:
    patch = status_patch(read_vpa(manifest()), None, now=NOW, refusal="The annotation\nmora.dev/cpu is unknown.")
    assert patch is not None
    assert conditions(patch) == {"RecommendationProvided": ("False", "NoAnswer")}
    assert message(patch, "RecommendationProvided") == "The annotation mora.dev/cpu is unknown."


def test_without_a_number_the_old_ones_stay_and_the_reason_is_given() -> None:
    old = patch_of(recommendation())
    vpa = read_vpa(manifest(status=old))
    patch = status_patch(vpa, recommendation(container("server", None, None)), now=LATER)
    assert patch is not None
    assert set(patch) == {"conditions"}
    assert conditions(patch)["RecommendationProvided"] == ("False", "NoNumber")
    assert "words of no-number" in message(patch, "RecommendationProvided")


def test_one_resource_without_a_number_keeps_its_old_one_beside_the_others_new_one() -> None:
    old = patch_of(recommendation())
    patch = status_patch(read_vpa(manifest(status=old)), recommendation(container("server", 400, None)), now=LATER)
    assert patch is not None
    assert numbers(patch)["target"] == {"cpu": "400m", "memory": str(230 * MIB)}
    assert "memory of server has no number: words of no-number" in message(patch, "LowConfidence")


def deferring(cpu: int, *, template: int | None = 2000) -> Recommendation:
    """What from_history() gives of a workload that is abnormal: the number of now, whatever the template requests."""
    told = recommendation(container("server", number(cpu, now=template), number(230 * MIB, now=None)))
    return replace(told, reasons=(Reason("deferred-abnormal", "cuts are deferred while server is abnormal"),))


def test_while_a_workload_is_abnormal_no_target_falls_and_each_raise_is_made() -> None:
    before = {"recommendation": patch_of(recommendation())["recommendation"]}
    kept = patch_of(deferring(100), status=before)
    assert numbers({**before, **kept})["target"]["cpu"] == "180m"
    raised = numbers(patch_of(deferring(700), status=before))
    assert raised["target"]["cpu"] == raised["uncappedTarget"]["cpu"] == "700m"


@pytest.mark.parametrize(("template", "target"), [(500, "500m"), (None, "100m")])
def test_a_first_target_of_an_abnormal_workload_is_not_below_its_template(template: int | None, target: str) -> None:
    assert numbers(patch_of(deferring(100, template=template)))["target"]["cpu"] == target


def test_a_resource_that_an_hpa_scales_on_is_removed_and_does_not_lower_the_confidence() -> None:
    old = patch_of(recommendation())
    advice = recommendation(container("server", number(None, "autoscaler-utilisation")))
    patch = status_patch(read_vpa(manifest(status=old)), advice, now=LATER)
    assert patch is not None
    assert set(numbers(patch)["target"]) == set(numbers(patch)["upperBound"]) == {"memory"}
    assert "LowConfidence" not in conditions(patch)


def test_a_container_that_was_removed_or_switched_off_leaves_the_status() -> None:
    old = patch_of(recommendation(container("server"), container("cache")))
    gone = status_patch(read_vpa(manifest(status=old)), recommendation(container("server")), now=LATER)
    assert gone is not None
    assert [one["containerName"] for one in gone["recommendation"]["containerRecommendations"]] == ["server"]
    off = manifest(status=old, policies=[{"containerName": "*", "mode": "Off"}])
    emptied = status_patch(read_vpa(off), recommendation(container("server"), container("cache")), now=LATER)
    assert emptied is not None
    assert emptied["recommendation"] == {"containerRecommendations": []}
    assert conditions(emptied)["RecommendationProvided"] == ("False", "NothingToRecommend")


def test_a_message_is_one_line_of_a_bounded_length() -> None:
    patch = status_patch(read_vpa(manifest()), None, now=NOW, refusal="word " * 1000)
    assert patch is not None
    assert len(message(patch, "RecommendationProvided")) <= 800


# --- what is written at all ------------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_changed_by_more_than_rounding() -> None:
    vpa = read_vpa(manifest(status=patch_of(recommendation())))
    assert status_patch(vpa, recommendation(), now=LATER) is None
    nearly = recommendation(container("server", 181, 231 * MIB, seen=evidence(cpu_level_cores=0.151)))
    assert status_patch(vpa, nearly, now=LATER) is None


@pytest.mark.parametrize(
    "advice",
    [
        recommendation(container("server", 182)),
        recommendation(container("server", 180, 232 * MIB)),
        recommendation(container("server", seen=evidence(mem_peak_bytes=190.0 * MIB))),
        recommendation(container("server"), container("cache")),
    ],
    ids=["cpu", "memory", "a bound", "a container"],
)
def test_a_number_that_moved_is_written_and_the_conditions_are_not(advice: Recommendation) -> None:
    old = patch_of(recommendation())
    patch = status_patch(read_vpa(manifest(status=old)), advice, now=LATER)
    assert patch is not None
    assert "recommendation" in patch
    assert ("conditions" in patch) == (len(advice.containers) > 1)


def test_a_policy_that_became_slightly_narrower_is_followed() -> None:
    old = patch_of(recommendation())
    vpa = read_vpa(manifest(status=old, policies=[{"containerName": "server", "maxAllowed": {"cpu": "179m"}}]))
    patch = status_patch(vpa, recommendation(), now=LATER)
    assert patch is not None
    assert numbers(patch)["target"]["cpu"] == "179m"


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    old = patch_of(recommendation(container("server", number(200, confidence=0.7))))
    vpa = read_vpa(manifest(status=old))
    surer = status_patch(vpa, recommendation(container("server", number(200, confidence=0.95))), now=LATER)
    assert surer is not None
    assert conditions(surer) == {"RecommendationProvided": ("True", "Recommended")}
    assert surer["conditions"][0]["lastTransitionTime"] == "2026-11-21T05:00:00Z"
    lost = status_patch(vpa, None, now=LATER)
    assert lost is not None
    assert {one["lastTransitionTime"] for one in lost["conditions"]} == {"2026-11-21T06:00:00Z"}


def test_conditions_of_others_stay_and_all_are_sorted() -> None:
    foreign = {"type": "FetchingHistory", "status": "False"}
    patch = patch_of(None, status={"conditions": [{"type": "ZZZ", "status": "True"}, foreign]})
    assert [one["type"] for one in patch["conditions"]] == [
        "FetchingHistory",
        "NoPodsMatched",
        "RecommendationProvided",
        "ZZZ",
    ]
    assert foreign in patch["conditions"]


def test_a_status_that_no_recommender_wrote_is_overwritten() -> None:
    odd = {"recommendation": {"containerRecommendations": [{"containerName": "server", "target": {"cpu": "lots"}}]}}
    assert numbers(patch_of(recommendation(), status=odd))["target"]["cpu"] == "180m"
