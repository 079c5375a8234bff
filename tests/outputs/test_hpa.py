"""The HPA is valid autoscaling/v2 and scales on use per pod."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.domain import Recommendation, Workload
from mora.errors import NotEnoughData
from mora.outputs import hpa
from mora.quantities import parse_cpu
from tests.clusters.fake_api import FakeApi
from tests.outputs import examples, kubectl
from tests.outputs.checks import validate
from tests.outputs.conftest import NEWEST, run_script
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl


def objects(recommendations: list[Recommendation]) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(hpa.render(recommendations)))


def test_every_object_is_valid_autoscaling_v2() -> None:
    kept = list(yaml.safe_load_all(golden("fleet.hpa.yaml", hpa.render(examples.fleet()))))
    assert [item["metadata"]["name"] for item in kept] == [
        *("frontend", "cartservice", "paymentservice", "web", "canary", "web"),
    ]
    for item in kept:
        assert item["apiVersion"] == "autoscaling/v2"
        validate(item)


def test_an_existing_hpa_loses_its_metrics_and_a_comment_says_so() -> None:
    assert "it replaces all metrics of the HPA cartservice" in hpa.render([examples.cart()])
    assert "it replaces" not in hpa.render([examples.frontend()])


@pytest.mark.parametrize("tool", kubectl.each())
def test_kubectl_takes_the_object(tool: Kubectl, tmp_path: Path) -> None:
    if not tool.is_modern:  # kubectl 1.20 does not know autoscaling/v2: there the schema is the check
        validate(objects([examples.frontend()])[0])
        return
    (tmp_path / "hpa.yaml").write_text(hpa.render([examples.frontend()]))
    (tmp_path / "p.yaml").write_text("spec: {maxReplicas: 9}\n")
    patched = tool.run(
        *("patch", "--local", "-f", str(tmp_path / "hpa.yaml"), "--type", "strategic"),
        *("--patch-file", str(tmp_path / "p.yaml"), "-o", "yaml"),
    )
    before, after = objects([examples.frontend()])[0], yaml.safe_load(patched)
    assert after["spec"] == {**before["spec"], "maxReplicas": 9}


def test_it_scales_on_average_use_and_within_the_replicas_advised() -> None:
    cart = examples.cart()
    spec = objects([cart])[0]["spec"]
    target = spec["metrics"][0]["resource"]["target"]
    assert target["type"] == "AverageValue"
    assert parse_cpu(target["averageValue"]) == cart.hpa_average_value_millicores
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)


def test_beside_a_sidecar_only_the_sized_container_counts() -> None:
    metric = objects([examples.frontend()])[0]["spec"]["metrics"][0]
    assert (metric["type"], metric["containerResource"]["container"]) == ("ContainerResource", "server")


def test_an_existing_hpa_is_replaced_under_its_own_name() -> None:
    cart = examples.cart()
    assert cart.current.autoscaler is not None
    named = replace(cart, current=replace(cart.current, autoscaler=replace(cart.current.autoscaler, name="cart-hpa")))
    assert objects([named])[0]["metadata"]["name"] == "cart-hpa"


def test_an_hpa_of_keda_is_not_written() -> None:
    cart = examples.cart()
    assert cart.current.autoscaler is not None
    scaler = replace(cart.current.autoscaler, name="keda-hpa-cart")
    owned = replace(cart, current=replace(cart.current, autoscaler=scaler))
    with pytest.raises(NotEnoughData, match="KEDA ScaledObject"):
        hpa.render([owned])
    assert "# Deployment shop/cartservice: its HPA keda-hpa-cart belongs" in hpa.render([examples.frontend(), owned])


def test_a_daemonset_and_a_service_without_numbers_get_none() -> None:
    daemon = replace(examples.frontend(), workload=Workload("shop", "agent", "DaemonSet"))
    with pytest.raises(NotEnoughData, match="agent: a DaemonSet runs one pod on every node; adservice: no use per pod"):
        hpa.render([daemon, examples.unknown()])


def test_a_retargeted_hpa_is_printed_with_its_new_targets() -> None:
    text = hpa.render([examples.retargeted()])
    assert "# search: cpu from 70% to 112%, memory from 80% to 97% of the request" in text
    hpa_ = yaml.safe_load(text)
    assert hpa_["metadata"] == {"name": "web", "namespace": "shop"}
    assert (hpa_["spec"]["minReplicas"], hpa_["spec"]["maxReplicas"]) == (2, 8)
    targets = [metric["resource"] for metric in hpa_["spec"]["metrics"]]
    assert [(t["name"], t["target"]["averageUtilization"]) for t in targets] == [("cpu", 112), ("memory", 97)]


def test_a_metric_that_is_not_retargeted_is_kept() -> None:
    both = examples.retargeted()
    kept = objects([replace(both, retargets=both.retargets[:1])])[0]["spec"]["metrics"]
    assert [m["resource"]["target"]["averageUtilization"] for m in kept] == [112, 80]


def test_jobs_are_not_scaled() -> None:
    with pytest.raises(NotEnoughData, match="a CronJob runs as many pods as its work needs"):
        hpa.render([examples.nightly()])


def test_a_rollout_is_named_by_its_own_api() -> None:
    reference = objects([examples.canary()])[0]["spec"]["scaleTargetRef"]
    assert reference == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "canary"}


@pytest.mark.skipif(not NEWEST.is_modern, reason="kubectl 1.20 does not know autoscaling/v2")
def test_an_api_server_takes_the_objects_of_a_fleet(api: FakeApi, tmp_path: Path) -> None:
    # Two of the examples share the name of their HPA.
    fleet = [examples.frontend(), examples.cart(), examples.canary(), examples.retargeted()]
    (tmp_path / "hpa.yaml").write_text(hpa.render(fleet))
    api.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    done = run_script(f"kubectl create -f {tmp_path / 'hpa.yaml'}", tmp_path)
    assert done.returncode == 0, done.stderr
    for item in objects(fleet):
        assert api.cluster.get("HorizontalPodAutoscaler", item["metadata"]["name"])["spec"] == item["spec"]
