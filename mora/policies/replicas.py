"""How many replicas, what an HPA should be set to, and what a request that an HPA scales on must not become alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mora.domain import Advice, Allocation, Autoscaler, Demand, Reason, TargetDemand, VerticalScaler
from mora.policies.need import no_number
from mora.policies.proposal import CPU, Kind, one_line, write_millicores
from mora.policies.settings import PolicySettings
from mora.quantities import cores_to_millicores, counted, format_cpu


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """At what use per pod an HPA (averageValue) adds a replica, and between which counts; None where nothing is known.

    reasons: where the figures come from.
    """

    average_value_millicores: int | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    reasons: tuple[Reason, ...] = ()


def size_replicas(
    demand: Demand,
    current: Allocation,
    settings: PolicySettings,
    *,
    unknown: Reason | None = None,
    deferred: Reason | None = None,
) -> Advice:
    """How many replicas carry the load.

    unknown: why there is no number, where the demand has no reason of its own. deferred: why none are taken away now.
    """
    now, target, scaler = current.replicas, demand.replicas, current.autoscaler
    if demand.workload.kind == "DaemonSet":
        return _none(now, Reason("replicas-by-nodes", "a DaemonSet runs one pod on every node"))
    if scaler is not None:
        text = f"set by the autoscaler {scaler.name} ({scaler.min_replicas} to {scaler.max_replicas} replicas)"
        return _none(now, Reason("replicas-by-autoscaler", text))
    if target is None:
        if unknown is not None:
            return _none(now, unknown)
        return _none(now, no_number("replicas", demand), "no recommendation: ")
    needed = _needed_replicas(target)
    reasons = [*target.reasons]
    if not reasons:
        reasons.append(Reason("replicas-for-load", f"{counted(needed, 'replica')} carry the load"))
    load = "the load" if demand.load is None else f"{demand.load.users} users of {demand.load.scenario}"
    summary = [f"{counted(needed, 'replica')} {'carries' if needed == 1 else 'carry'} {load}"]
    value = max(needed, settings.min_replicas)
    if value > needed:
        text = f"raised to the minimum of {counted(settings.min_replicas, 'replica')}"
        reasons.append(Reason("replicas-floor", text))
        summary.append(text)
    if settings.max_replicas is not None and value > settings.max_replicas:
        text = f"the maximum of {counted(settings.max_replicas, 'replica')} is below the {value} needed"
        reasons.append(Reason("replicas-cap", text))
        return Advice(now, None, reasons=tuple(reasons), summary=one_line(f"no recommendation: {text}"))
    if deferred is not None and now is not None and value < now:
        reasons.append(Reason(deferred.code, f"stays at {now}, not cut to {value}: {deferred.text}"))
        summary.append(f"unchanged: {deferred.text}")
        value = now
    return Advice(now, value, target.confidence, target.windows, reasons=tuple(reasons), summary=one_line(*summary))


def _none(now: int | None, why: Reason, prefix: str = "unchanged: ") -> Advice:
    return Advice(now, None, reasons=(why,), summary=one_line(prefix + why.text))


def _needed_replicas(target: TargetDemand) -> int:
    return max(1, math.ceil(round(max(target.point_forecast, target.bound), 6)))


def size_autoscaling(demand: Demand, current: Allocation, cpu_request: Advice, settings: PolicySettings) -> Autoscaling:
    """What an HPA on the use per pod should be set to.

    The use per pod at the load and the replicas that were chosen for it is the best target: there the SLO was kept.
    Where no load was driven, a share of the recommended request is taken. The most replicas leave room for twice the
    load.
    """
    if demand.cpu is None or demand.workload.kind == "DaemonSet":
        return Autoscaling()
    least_use = settings.target_utilisation * settings.cpu_floor_millicores
    request = cpu_request.value if cpu_request.value is not None else cpu_request.now
    if demand.replicas is not None and demand.load is not None:
        use = CPU.amount(demand.cpu.point_forecast)
        count = counted(_needed_replicas(demand.replicas), "replica")
        source = f"the mean use at {demand.load.users} users of {demand.load.scenario} on {count}"
    elif request is not None:
        use = settings.target_utilisation * request
        source = f"{settings.target_utilisation:.0%} of the request of {write_millicores(request)}"
    else:
        return Autoscaling()
    average = cores_to_millicores(max(use, least_use, 1.0) / 1000)
    needed = _needed_replicas(demand.replicas) if demand.replicas is not None else (current.replicas or 1)
    scaler = current.autoscaler
    # Where no HPA says how few may run, as many as run now: fewer would take away what somebody keeps in reserve.
    running = min(needed, current.replicas or 1)
    least = max(settings.min_replicas, scaler.min_replicas if scaler else running)
    most = max(2 * needed, least, scaler.max_replicas if scaler else 1)
    if settings.max_replicas is not None:
        most = max(min(most, settings.max_replicas), least)
    text = (
        f"an HPA (-o hpa) would add a replica above {format_cpu(average)} per pod ({source}), "
        f"from {least} to {most} replicas"
    )
    return Autoscaling(average, least, most, (Reason("hpa-average-value", text),))


def hands_off(kind: Kind, autoscaler: Autoscaler, now: int | None, wanted: float | None, *, is_shared: bool) -> Advice:
    """No number for a request that an HPA scales on, and the two ways out.

    A smaller request makes the same use a higher utilisation, so the HPA adds pods, so use per pod falls, so the next
    recommendation is smaller still: a ratchet.
    """
    text = (
        f"the HPA {autoscaler.name} scales on {autoscaler.target}% utilisation of the {kind.word} request, so another "
        "request would change its replicas"
    )
    summary = f"unchanged: the HPA {autoscaler.name} scales on {autoscaler.target}% {kind.word} utilisation"
    if wanted is not None:
        summary += f" ({kind.write(wanted)} with --retarget-hpa)"
        text += f"; {kind.write(wanted)} would do: let the HPA scale on averageValue first (mora recommend -o hpa)"
        if is_shared:
            text += ", or change both at once (--retarget-hpa), since every container of the pod counts"
        elif now:
            text += f", or change both at once (--retarget-hpa): {retarget(kind, autoscaler, now, wanted)}"
    return Advice(now, None, reasons=(Reason("autoscaler-utilisation", text),), summary=one_line(summary))


def left_to_vpa(kind: Kind, vpa: VerticalScaler, now: int | None, wanted: float | None) -> Advice:
    """No number for a request that a VPA sets: the next pod gets the VPA's, whatever the template says."""
    would = "" if wanted is None else f" ({kind.write(wanted)} would do)"
    summary = f"unchanged: the VPA {vpa.name} sets the {kind.word} request of its pods{would}"
    text = (
        f"the VPA {vpa.name} (mode {vpa.mode}) sets the {kind.word} request of its pods, whatever the template says"
        f"{would}: set its updateMode to Off first, or bound it by minAllowed and maxAllowed"
    )
    return Advice(now, None, reasons=(Reason("vpa", text),), summary=one_line(summary))


def retarget(kind: Kind, autoscaler: Autoscaler, now: int, wanted: float) -> str:
    """What the HPA's target must become so that it scales at the same use per pod, as text."""
    percent = max(1, math.floor(round(autoscaler.target * now / wanted, 6)))
    return (
        f"set its target from {autoscaler.target}% of {kind.write(now)} to {percent}% of {kind.write(wanted)}, "
        "the same use per pod"
    )
