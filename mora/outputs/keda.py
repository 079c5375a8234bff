"""A KEDA ScaledObject for each workload, by its history (`--replicas history`), else on what `-o hpa` scales on.

A demand that is smoothed is asked of Prometheus; the CPU of the pods, where a plain HPA was chosen, of Kubernetes'
metrics. The schedule is cron triggers: KEDA runs as many pods as the trigger that asks for most.
Source: https://keda.sh/docs/2.22/reference/scaledobject-spec/, and the pages of the triggers prometheus, cpu and cron.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mora.domain import KEDA_PREFIX, Floor, Recommendation, Scaling, Target, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.documents import dump
from mora.outputs.hpa import SCALE_DOWN_WINDOW_SECONDS, way_back, why_not_scaled
from mora.outputs.parts import Parts, checked
from mora.outputs.wording import cautions, comment, one_line, remark
from mora.quantities import format_cpu
from mora.values import is_loopback

_DAY = 24 * 60
_EVERY_DAY = 7
# After so many failed questions, the fallback's replicas run until Prometheus answers again.
_FAILURES = 3


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One object a workload, for `kubectl apply -f -`; NotEnoughData where none can be made."""
    return _parts(recommendations).stream()


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> object, for each workload that can have one."""
    return _parts(recommendations).files(".keda.yaml")


def cron(days: Sequence[int], minute: int) -> str:
    """A minute of some days (0 is Monday) as a cron expression; below 0 it is on the day before, from 1,440 on after.

    >>> cron(range(5), 8 * 60), cron(range(5), -1), cron(range(7), 1440), cron((5, 6), 1440)
    ('0 8 * * 1-5', '59 23 * * 0-4', '0 0 * * *', '0 0 * * 0-1')
    """
    shift, of_day = divmod(minute, _DAY)
    # Cron's Sunday is 0.
    moved = sorted((day + shift + 1) % 7 for day in days)
    if len(moved) == _EVERY_DAY:
        listed = "*"
    elif moved == list(range(moved[0], moved[-1] + 1)):
        listed = f"{moved[0]}-{moved[-1]}"
    else:
        listed = ",".join(map(str, moved))
    return f"{of_day % 60} {of_day // 60} * * {listed}"


def _parts(recommendations: Sequence[Recommendation]) -> Parts:
    texts: dict[Workload, str] = {}
    missing: dict[Workload, str] = {}
    for recommendation in recommendations:
        why_not = _why_not(recommendation)
        if why_not is not None:
            missing[recommendation.workload] = why_not
        else:
            texts[recommendation.workload] = _text(recommendation)
    return checked(Parts(texts, missing), "a ScaledObject", recommendations)


def _why_not(recommendation: Recommendation) -> str | None:
    scaler = recommendation.current.autoscaler
    not_scaled = why_not_scaled(recommendation.workload.kind, "ScaledObject")
    if not_scaled is not None:
        return not_scaled
    if scaler is not None and scaler.name.startswith(KEDA_PREFIX):
        return f"a ScaledObject scales it already ({scaler.name}): KEDA takes one for each workload, so change that one"
    scalers = (*recommendation.autoscalers, *([] if scaler is None else [scaler]))
    other = next((one for one in scalers if one.resource is not Target.CPU), None)
    if other is not None:
        return f"its HPA {other.name} scales on another metric than CPU, which would be lost"
    unknown = next((one.text for one in recommendation.reasons if one.code == "autoscalers-unknown"), None)
    if unknown is not None:
        return unknown
    has_number = recommendation.hpa_average_value_millicores is not None and recommendation.hpa_max_replicas is not None
    if recommendation.scaling is None and not has_number:
        return f"no use per pod to scale on: {one_line(recommendation.main.cpu_request.reasons)}"
    return None


def _text(recommendation: Recommendation) -> str:
    workload, scaler, scaling = recommendation.workload, recommendation.current.autoscaler, recommendation.scaling
    codes = ("scaling",) if scaling is not None else ("scaling-unknown", "hpa-average-value")
    told = [one.text for one in recommendation.reasons if one.code in codes]
    lines = [line for text in told for line in comment(f"{workload.name}: {text}")]
    lines += [line for reason in cautions(recommendation) for line in comment(f"caution: {reason.text}")]
    if scaling is not None and scaling.rule.floors:
        lines.append(
            remark("the hours of the schedule are UTC, as they were in the history: mind daylight saving time")
        )
    if scaling is not None and not (scaling.rule.is_plain and scaling.is_cpu) and is_loopback(scaling.server):
        lines += comment(
            "caution: serverAddress is this machine's own: write there the address at which KEDA reaches it"
        )
    if scaler is not None:
        lines += comment(f"it takes over the HPA {scaler.name}, with all metrics of it")
    lines += _way_back(recommendation)
    return "".join(f"{line}\n" for line in lines) + dump(_object(recommendation))


def _way_back(recommendation: Recommendation) -> list[str]:
    """Comment lines: how to undo it. KEDA's HPA goes with the ScaledObject, one that was taken over, too."""
    workload = recommendation.workload
    before, *after = way_back(recommendation)
    delete = remark(f"to roll back: kubectl delete scaledobject {workload.name} -n {workload.namespace}")
    if recommendation.current.autoscaler is None:
        return [delete, *after]
    return [before, delete, *(line.replace("to roll back:", "and then:") for line in after)]


def _object(recommendation: Recommendation) -> dict[str, Any]:
    workload, scaler, scaling = recommendation.workload, recommendation.current.autoscaler, recommendation.scaling
    metadata: dict[str, Any] = {"name": workload.name, "namespace": workload.namespace}
    seconds = SCALE_DOWN_WINDOW_SECONDS if scaling is None else round(scaling.rule.stabilisation.total_seconds())
    config: dict[str, Any] = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": seconds}}}
    if scaler is not None:
        metadata["annotations"] = {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
        config = {"name": scaler.name, **config}
    if scaling is None:
        least, most = recommendation.hpa_min_replicas or 1, recommendation.hpa_max_replicas or 1
        triggers = [_plain_trigger(recommendation)]
    else:
        least, most = scaling.rule.least, scaling.rule.most
        triggers = [_trigger(scaling), *map(_cron_trigger, scaling.rule.floors)]
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
        "pollingInterval": 30,
        "minReplicaCount": least,
        "maxReplicaCount": most,
    }
    if scaling is not None and triggers[0]["type"] == "prometheus":
        # Without Prometheus the demand is not known: what usually runs is neither too few nor all.
        usual = min(max(scaling.rule.usual, least), most)
        spec["fallback"] = {"failureThreshold": _FAILURES, "replicas": usual}
    spec["advanced"] = {"horizontalPodAutoscalerConfig": config}
    spec["triggers"] = triggers
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def _plain_trigger(recommendation: Recommendation) -> dict[str, Any]:
    """What `-o hpa` scales on: the use of the main container, where there are several."""
    of_one = {"containerName": recommendation.main.container} if len(recommendation.current.containers) > 1 else {}
    value = format_cpu(recommendation.hpa_average_value_millicores or 0)
    return {"type": "cpu", "metricType": "AverageValue", "metadata": {"value": value, **of_one}}


def _trigger(scaling: Scaling) -> dict[str, Any]:
    rule = scaling.rule
    threshold = rule.target * scaling.per_pod
    if rule.is_plain and scaling.is_cpu:
        value = format_cpu(max(round(threshold * 1000), 1))
        return {"type": "cpu", "metricType": "AverageValue", "metadata": {"value": value}}
    return {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": scaling.server,
            "query": smoothed(scaling),
            "threshold": f"{threshold:.6g}",
            # By default an empty answer is 0, which takes pods away: so is one of a Prometheus that scrapes no more.
            "ignoreNullValues": "false",
        },
    }


def smoothed(scaling: Scaling) -> str:
    """The PromQL that the rule scales on."""
    rule, demand = scaling.rule, scaling.query
    if rule.is_plain:
        return demand
    step = round(scaling.step.total_seconds())
    # PromQL's range leaves out its first moment.
    # A comment ends with its line.
    inner = f"{demand}\n" if "#" in demand else demand
    past = f"({inner})[{round(rule.over.total_seconds())}s:{step}s]"
    spread = f" + {rule.spreads:g} * stddev_over_time({past})" if rule.spreads else ""
    return f"avg_over_time({past}){spread}"


def _cron_trigger(floor: Floor) -> dict[str, Any]:
    window = {"timezone": "UTC", "start": cron(floor.days, floor.start), "end": cron(floor.days, floor.end)}
    return {"type": "cron", "metadata": {**window, "desiredReplicas": str(floor.pods)}}
