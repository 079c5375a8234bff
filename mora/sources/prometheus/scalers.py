"""What scales workloads, as kube-state-metrics tells it: HPAs (KEDA's included) on any metric, and VPAs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mora.domain import Autoscaler, Reason, Target, VerticalScaler, Workload, is_name, owned_by_keda
from mora.sources.prometheus.asking import Asking, amount_of
from mora.sources.prometheus.ownership import Labels, resolve

_VPA_MODE = "kube_verticalpodautoscaler_spec_updatepolicy_updatemode"
_MODES = frozenset({"Off", "Initial", "Recreate", "InPlaceOrRecreate", "InPlace", "Auto"})


def autoscalers(ask: Asking) -> dict[Workload, tuple[Autoscaler, ...]]:
    """The HPAs of each workload: one for CPU, for memory, and last one for whatever else it scales on."""
    named = _targets(ask.labels("kube_horizontalpodautoscaler_info"), "scaletargetref", "horizontalpodautoscaler")
    if not named:
        return {}
    minimum, maximum = (
        {
            _scaler(labels): round(value)
            for labels, value in ask.values(f"kube_horizontalpodautoscaler_spec_{side}_replicas")
        }
        for side in ("min", "max")
    )
    found: defaultdict[Workload, dict[tuple[str, str, str], Autoscaler]] = defaultdict(dict)
    metrics = ask.values("kube_horizontalpodautoscaler_spec_target_metric")
    for labels, value in metrics:
        key, resource, target = _scaler(labels), labels.get("metric_name", ""), labels.get("metric_target_type", "")
        if key not in named:
            continue
        base = _base(key, minimum, maximum)
        if resource in ("cpu", "memory") and target in ("utilization", "average"):
            is_utilisation = target == "utilization"
            found[named[key]][key[1], resource, target] = replace(
                base,
                resource=Target(resource),
                is_utilisation=is_utilisation,
                target=round(value) if is_utilisation else amount_of(resource, value),
                container=labels.get("container") or None,
            )
        else:
            found[named[key]][key[1], "other", ""] = base
    known = {_scaler(labels) for labels, _ in metrics}
    for key, workload in named.items():
        if key not in known:
            found[workload][key[1], "other", ""] = _base(key, minimum, maximum)
    return {workload: tuple(of[key] for key in sorted(of, key=_order)) for workload, of in found.items()}


def _order(key: tuple[str, str, str]) -> tuple[str, bool, str, str]:
    name, resource, target = key
    return name, resource == "other", resource, target


def _base(
    key: tuple[str, str], minimum: Mapping[tuple[str, str], int], maximum: Mapping[tuple[str, str], int]
) -> Autoscaler:
    return Autoscaler(
        key[1],
        Target.REPLICAS,
        is_utilisation=False,
        target=0,
        min_replicas=minimum.get(key, 1),
        max_replicas=maximum.get(key, 1),
    )


def keda(scalers: Iterable[Autoscaler]) -> tuple[Reason, ...]:
    """Which of the HPAs must be changed in their ScaledObject."""
    found = (owned_by_keda(name) for name in dict.fromkeys(scaler.name for scaler in scalers))
    return tuple(reason for reason in found if reason is not None)


def vpas(ask: Asking) -> dict[Workload, tuple[VerticalScaler, ...]]:
    """The VPAs of each workload, where kube-state-metrics has them (before 2.9, or by its configuration)."""
    rows = [labels for labels, value in ask.values(_VPA_MODE) if value == 1 and labels.get("update_mode") in _MODES]
    named = _targets(rows, "target", "verticalpodautoscaler")
    found: defaultdict[Workload, dict[str, VerticalScaler]] = defaultdict(dict)
    for labels in rows:
        name = labels.get("verticalpodautoscaler", "")
        workload = named.get((labels.get("namespace", ""), name))
        if workload is not None and is_name(name):
            found[workload][name] = VerticalScaler(name, labels["update_mode"])
    return {workload: tuple(of[name] for name in sorted(of)) for workload, of in found.items()}


def _targets(rows: Iterable[Labels], prefix: str, label: str) -> dict[tuple[str, str], Workload]:
    """Namespace and name of what scales -> the workload that it names."""
    named: dict[tuple[str, str], Workload] = {}
    for labels in rows:
        row = {
            "namespace": labels.get("namespace", ""),
            "owner_kind": labels.get(f"{prefix}_kind", ""),
            "owner_name": labels.get(f"{prefix}_name", ""),
        }
        for workload in resolve([row], [], []).pods.values():
            named[row["namespace"], labels.get(label, "")] = workload
    return named


def _scaler(labels: Labels) -> tuple[str, str]:
    return labels.get("namespace", ""), labels.get("horizontalpodautoscaler", "")
