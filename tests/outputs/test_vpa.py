"""The VPA object is valid against the v1 API and never includes what an HPA scales on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import yaml

from mora.domain import Recommendation, Target
from mora.errors import NotEnoughData
from mora.outputs import OutputSettings, hpa, vpa
from mora.quantities import parse_cpu, parse_memory
from tests.outputs import examples
from tests.outputs.golden import golden
from tests.outputs.schemas import VPA_V1

WITH_CPU = OutputSettings(vpa_cpu=True)


def objects(recommendations: list[Recommendation]) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(vpa.render(recommendations, WITH_CPU)))


def test_every_object_is_valid_against_the_v1_api() -> None:
    kept = list(yaml.safe_load_all(golden("fleet.vpa.yaml", vpa.render(examples.fleet(), WITH_CPU))))
    assert [item["metadata"]["name"] for item in kept] == [
        *("frontend", "cartservice", "paymentservice", "web", "nightly", "migration", "canary"),
    ]
    for item in kept:
        jsonschema.validate(item, VPA_V1)


def test_the_schema_refuses_what_the_api_refuses() -> None:
    bare = yaml.safe_load(vpa.render([examples.frontend()]).replace("'Off'", "Off"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bare, VPA_V1)


def test_the_numbers_are_both_bounds() -> None:
    frontend = examples.frontend()
    policy = objects([frontend])[0]["spec"]["resourcePolicy"]["containerPolicies"][0]
    for bound in (policy["minAllowed"], policy["maxAllowed"]):
        assert parse_cpu(bound["cpu"]) == frontend.main.cpu_request.value
        assert parse_memory(bound["memory"]) == frontend.main.memory_request.value
    assert policy["controlledResources"] == ["cpu", "memory"]


def test_every_container_of_the_template_has_its_policy_and_the_others_stay_off() -> None:
    web = objects([examples.meshed()])[0]
    policies = web["spec"]["resourcePolicy"]["containerPolicies"]
    assert [policy["containerName"] for policy in policies] == ["web", "cache", "*"]
    assert policies[1]["minAllowed"] == {"cpu": "60m", "memory": "160Mi"}
    text = vpa.render([examples.meshed()])
    assert "# container logs is an init container" in text
    assert "# container istio-proxy is injected at admission" in text


def test_what_any_of_several_hpa_metrics_scales_on_is_not_the_vpas() -> None:
    with pytest.raises(NotEnoughData, match="an HPA scales on cpu and memory"):
        vpa.render([examples.retargeted()], WITH_CPU)


def test_a_target_names_the_api_that_its_kind_lives_in() -> None:
    targets = [item["spec"]["targetRef"] for item in objects([examples.nightly(), examples.canary()])]
    assert [(t["apiVersion"], t["kind"]) for t in targets] == [
        ("batch/v1", "CronJob"),
        ("argoproj.io/v1alpha1", "Rollout"),
    ]


def test_the_vpa_only_recommends_and_only_for_the_container_that_was_sized() -> None:
    spec = objects([examples.frontend()])[0]["spec"]
    assert spec["updatePolicy"] == {"updateMode": "Off"}
    assert spec["resourcePolicy"]["containerPolicies"][1] == {"containerName": "*", "mode": "Off"}


@pytest.mark.parametrize("is_utilisation", [True, False])
@pytest.mark.parametrize("resource", [Target.CPU, Target.MEMORY])
def test_what_an_hpa_scales_on_is_not_the_vpas(resource: Target, is_utilisation: bool) -> None:
    cart = examples.cart()
    assert cart.current.autoscaler is not None
    scaler = replace(cart.current.autoscaler, resource=resource, is_utilisation=is_utilisation)
    both = replace(
        examples.with_main(cart, cpu_request=examples.frontend().main.cpu_request),
        current=replace(cart.current, autoscaler=scaler),
    )
    policy = objects([both])[0]["spec"]["resourcePolicy"]["containerPolicies"][0]
    assert policy["controlledResources"] == (["memory"] if resource is Target.CPU else ["cpu"])
    assert str(resource) not in policy["minAllowed"]


@pytest.mark.parametrize("service", [examples.cart, examples.frontend])
def test_as_they_are_printed_hpa_and_vpa_share_nothing(service: Callable[[], Recommendation]) -> None:
    metric = yaml.safe_load(hpa.render([service()]))["spec"]["metrics"][0]
    scaled = (metric.get("resource") or metric["containerResource"])["name"]
    policy = yaml.safe_load(vpa.render([service()]))["spec"]["resourcePolicy"]["containerPolicies"][0]
    assert scaled == "cpu"
    assert policy["controlledResources"] == ["memory"]


def test_a_vpa_that_takes_cpu_warns_of_adding_an_hpa() -> None:
    assert "an HPA and a VPA must not share CPU" in vpa.render([examples.frontend()], WITH_CPU)
    assert "must not share" not in vpa.render([examples.cart()], WITH_CPU)
    assert "CPU is for `mora recommend -o hpa`" in vpa.render([examples.frontend()])


def test_without_a_number_there_is_no_object() -> None:
    assert "# Deployment shop/adservice: no number: 12 samples" in vpa.render([examples.frontend(), examples.unknown()])
    with pytest.raises(NotEnoughData, match="12 samples"):
        vpa.render([examples.unknown()])
