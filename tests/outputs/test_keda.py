"""The ScaledObject fits KEDA's schema, its schedule is active when it should be, and kubectl takes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from mora.domain import Floor, Reason, Recommendation, Scaling, ScalingRule, Target
from mora.errors import NotEnoughData
from mora.outputs import hpa, keda
from mora.replicas.schedule import at_samples, floors_of
from tests.outputs import examples, kubectl
from tests.outputs.checks import validate
from tests.outputs.kubectl import Kubectl
from tests.outputs.schemas import SCALED_OBJECT_V1ALPHA1

WORKING = (0, 1, 2, 3, 4)
RULE = ScalingRule(
    target=0.9,
    over=timedelta(minutes=20),
    spreads=2.5,
    stabilisation=timedelta(0),
    floors=(Floor(WORKING, 8 * 60 - 1, 18 * 60, 5), Floor((5, 6), -1, 120, 2)),
    least=2,
    usual=6,
    most=14,
    pod_hours=0.87,
    minutes_over=40,
    plain_minutes_over=44,
    tested=timedelta(days=4),
)
PLAIN = replace(RULE, target=0.85, over=timedelta(0), spreads=0.0, stabilisation=timedelta(minutes=20), floors=())
SCALING = Scaling('sum(rate(a{b="c"}[2m]))', True, 0.4, timedelta(minutes=1), "http://prometheus:9090", RULE, PLAIN)


def scaled(advice: Recommendation | None = None, **changes: Any) -> Recommendation:
    return replace(advice or examples.frontend(), scaling=replace(SCALING, **changes))


def object_of(advice: Recommendation) -> Any:
    (found,) = yaml.safe_load_all(keda.render([advice]))
    jsonschema.Draft202012Validator(SCALED_OBJECT_V1ALPHA1).validate(found)
    return found


def test_the_query_is_smoothed_and_the_threshold_a_share_of_what_a_pod_carries() -> None:
    spec = object_of(scaled())["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 14)
    demand = spec["triggers"][0]
    past = '(sum(rate(a{b="c"}[2m])))[1200s:60s]'
    assert demand["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": f"avg_over_time({past}) + 2.5 * stddev_over_time({past})",
        "threshold": "0.36",
        # An empty answer is no demand of 0.
        "ignoreNullValues": "false",
    }
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 6}


def test_a_plain_rule_on_cpu_needs_no_prometheus() -> None:
    spec = object_of(scaled(rule=PLAIN))["spec"]
    assert spec["triggers"] == [{"type": "cpu", "metricType": "AverageValue", "metadata": {"value": "340m"}}]
    assert "fallback" not in spec, "KEDA refuses a fallback on the CPU trigger alone"
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"] == {
        "stabilizationWindowSeconds": 1200
    }


def due(expression: str) -> list[int]:
    """The minutes of four weeks from a Monday at which a cron expression of this module is due."""
    minute, hour, _, _, days = expression.split()
    wanted = set(range(7)) if days == "*" else set[int]()
    for part in [] if days == "*" else days.split(","):
        first, _, last = part.partition("-")
        wanted |= set(range(int(first), int(last or first) + 1))
    # Cron's Sunday is 0.
    return [day * 1440 + int(hour) * 60 + int(minute) for day in range(28) if (day + 1) % 7 in wanted]


@pytest.mark.parametrize(
    "floor",
    [
        Floor(WORKING, 8 * 60 - 1, 18 * 60, 5),
        Floor(WORKING, 22 * 60, 1440, 5),
        Floor((5, 6), -3, 120, 2),
        Floor((5, 6), 20 * 60, 1440, 2),
        Floor((0, 1, 2, 3, 4, 5, 6), -1, 420, 3),
    ],
)
def test_keda_takes_each_span_of_the_schedule_as_it_is_meant(floor: Floor) -> None:
    # pkg/scalers/cron_scaler.go: active unless the next start comes before the next end.
    trigger = object_of(scaled(rule=replace(RULE, floors=(floor,))))["spec"]["triggers"][1]["metadata"]
    starts, ends = due(trigger["start"]), due(trigger["end"])
    for now in range(7 * 1440, 14 * 1440, 20):
        next_start, next_end = (min(at for at in moments if at > now) for moments in (starts, ends))
        inside = [now - (day + 7 * week) * 1440 for day in floor.days for week in range(3)]
        expected = any(floor.start <= minutes < floor.end for minutes in inside)
        assert (next_end <= next_start) == expected, now


@pytest.mark.parametrize(
    ("working", "weekend"),
    [
        (np.full(24, 4.0), np.full(24, 2.0)),
        (np.full(24, 2.0), np.full(24, 4.0)),
        (np.r_[1.0, np.full(23, 4.0)], np.ones(24)),
        (np.r_[np.full(23, 4.0), 1.0], np.r_[np.full(23, 4.0), 1.0]),
        (np.r_[np.full(8, 2.0), np.full(16, 5.0)], np.full(24, 3.0)),
    ],
)
@pytest.mark.parametrize("start_up", [1, 60])
def test_a_schedule_runs_the_pods_that_it_was_chosen_for(
    working: np.ndarray, weekend: np.ndarray, start_up: int
) -> None:
    level, early = np.array([working, weekend]), timedelta(minutes=start_up)
    floors = floors_of(level, early, 1)
    found = object_of(scaled(rule=replace(RULE, floors=floors)))["spec"]["triggers"][1:]
    wanted = at_samples(level, 28 * 1440, datetime(2026, 11, 2, tzinfo=UTC), timedelta(minutes=1), early)
    due_at = [(due(one["metadata"]["start"]), due(one["metadata"]["end"])) for one in found]
    for starts, ends in due_at:
        assert starts != ends, "KEDA refuses such a trigger"
    # A schedule that never pauses lacks a minute a day, at the hour: KEDA refuses a start at the minute of the end.
    for now in range(7 * 1440 + 5, 14 * 1440, 10):
        active = [1]
        for one, (starts, ends) in zip(found, due_at, strict=True):
            next_start, next_end = (min(at for at in moments if at > now) for moments in (starts, ends))
            if next_end <= next_start:
                active.append(int(one["metadata"]["desiredReplicas"]))
        assert max(active) == wanted[now], now


def test_a_comment_in_a_query_ends_before_the_brackets() -> None:
    query = object_of(scaled(query="sum(rate(a[2m])) # all", is_cpu=False))["spec"]["triggers"][0]["metadata"]["query"]
    assert "# all\n)[1200s:60s]" in query


def test_without_a_history_it_scales_on_what_an_hpa_would() -> None:
    why = Reason("scaling-unknown", "no autoscaler from history: 3 days are needed")
    advice = replace(examples.frontend(), reasons=(*examples.frontend().reasons, why))
    spec = object_of(advice)["spec"]
    one = {"value": "212m", "containerName": "server"}
    assert spec["triggers"] == [{"type": "cpu", "metricType": "AverageValue", "metadata": one}]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (advice.hpa_min_replicas, advice.hpa_max_replicas)
    assert "3 days are needed" in keda.render([advice])


def test_an_hpa_that_is_there_is_taken_over_under_its_name() -> None:
    advice = scaled(examples.cart())
    found = object_of(advice)
    assert found["metadata"]["annotations"] == {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
    assert found["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"] == "cartservice"
    text = keda.render([advice])
    assert "it takes over the HPA cartservice" in text
    # What KEDA took over goes with its ScaledObject.
    delete, put_back = "kubectl delete scaledobject cartservice", "kubectl replace --force -f cartservice.before.yaml"
    assert text.index("kubectl get hpa cartservice") < text.index(delete) < text.index(put_back)


def test_what_cannot_be_scaled_so_is_left_out_with_the_reason() -> None:
    cart = examples.cart()
    assert cart.current.autoscaler is not None
    by_keda = replace(cart.current.autoscaler, name="keda-hpa-cart")
    by_memory = replace(cart.current.autoscaler, resource=Target.MEMORY)
    for advice, words in (
        (scaled(replace(cart, current=replace(cart.current, autoscaler=by_keda))), "a ScaledObject scales it already"),
        (scaled(replace(cart, current=replace(cart.current, autoscaler=by_memory))), "scales on another metric"),
        (examples.unknown(), "12 samples, 60 are needed"),
        (scaled(examples.nightly()), "a CronJob runs as many pods as its work needs"),
    ):
        with pytest.raises(NotEnoughData, match=words):
            keda.render([advice])


def test_an_address_of_this_machine_is_marked() -> None:
    assert "write there the address" in keda.render([scaled(server="http://127.0.0.1:9090")])
    assert "write there the address" not in keda.render([scaled()])


@pytest.mark.parametrize("tool", kubectl.each())
def test_kubectl_reads_and_changes_the_object(tool: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "keda.yaml"
    path.write_text(keda.render([scaled()]))
    patched = yaml.safe_load(
        tool.run(
            *("patch", "--local", "-f", str(path), "--type", "merge", "-o", "yaml", "--patch"),
            '{"spec":{"maxReplicaCount":20}}',
        )
    )
    assert patched["spec"] == {**object_of(scaled())["spec"], "maxReplicaCount": 20}


def test_an_hpa_from_history_scales_on_the_whole_pod_and_waits_as_long_as_was_chosen() -> None:
    advice = replace(scaled(), hpa_average_value_millicores=340, hpa_min_replicas=2, hpa_max_replicas=14)
    (found,) = yaml.safe_load_all(hpa.render([advice]))
    validate(found)
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageValue"] == "340m"
    assert found["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 1200
