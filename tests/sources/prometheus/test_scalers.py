"""HPAs on any metric and VPAs, as kube-state-metrics tells them."""

from __future__ import annotations

from mora.domain import Target, VerticalScaler
from mora.sources.prometheus import inventory
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, TARGET, shop, wire


def test_an_hpa_on_any_metric_scales_the_workload_and_keda_s_is_named() -> None:
    keda = {"namespace": "shop", "horizontalpodautoscaler": "keda-hpa-web"}
    target = {"scaletargetref_kind": "Deployment", "scaletargetref_name": "web"}
    rows = shop(
        kube_horizontalpodautoscaler_spec_min_replicas=[(keda, 1.0)],
        kube_horizontalpodautoscaler_spec_max_replicas=[(keda, 20.0)],
    )
    rows["kube_horizontalpodautoscaler_info"] = [({**keda, **target}, 1.0)]
    rows["kube_horizontalpodautoscaler_spec_target_metric"] = [
        ({**keda, "metric_name": "s0-queue", "metric_target_type": "average"}, 5.0),
        ({**keda, **TARGET}, 70.0),
    ]
    ((state,), _) = inventory.read(wire(rows), Scope(("shop",)), NOW)
    assert [(one.resource, one.target, one.max_replicas) for one in state.autoscalers] == [
        (Target.CPU, 70, 20),
        (Target.REPLICAS, 0, 20),
    ]
    assert "keda" in [reason.code for reason in state.reasons]
    # An HPA of which no metric is known (Object, Pods) scales the workload all the same.
    rows["kube_horizontalpodautoscaler_spec_target_metric"] = []
    ((state,), _) = inventory.read(wire(rows), Scope(("shop",)), NOW)
    assert [one.resource for one in state.autoscalers] == [Target.REPLICAS]


def test_vpas_are_known_where_kube_state_metrics_has_them() -> None:
    of = {"namespace": "shop", "verticalpodautoscaler": "web", "target_kind": "Deployment", "target_name": "web"}
    modes = [({**of, "update_mode": mode}, float(mode == "Initial")) for mode in ("Off", "Initial", "Auto")]
    rows = shop(kube_verticalpodautoscaler_spec_updatepolicy_updatemode=modes)
    ((state,), _) = inventory.read(wire(rows), Scope(("shop",)), NOW)
    assert state.vpas == (VerticalScaler("web", "Initial"),)
    assert "vpa-rules" in [reason.code for reason in state.reasons]
