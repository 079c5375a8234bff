"""From what a service needs and what is set now to what should be set.

A policy is a composition of small pure pieces over a `Proposal`, written once for CPU and memory:

    need   = quantile (the calibrated bound), margin (centre x buffer), at_least (peak, start-up, OOM, pinned use)
    advice = need -> round up -> floor -> cap -> step (hold a small cut, refuse a blind one, limit a large one)

Every piece that changes a number, or refuses one, leaves a Reason with a stable code and the arithmetic. The codes:

    sized                  the largest of the figures that must be covered
    oom-bump, pinned       an OOM kill, or use held at a limit, raised the number
    floor, cap             the settings raised or lowered it; cap-below-need: they left no honest number
    held-small-cut         a cut too small for a rollout; held-pinned: a cut refused, since use was held at a limit
    stepped                a cut made in several steps
    limit-range            the namespace's LimitRange raised or lowered it, or gives a limit where none is set
    held-memory            memory that is not cut for what runs in it; the code is the caller's (held-jvm)
    no-confidence          a number that no held-out run can speak for
    no-number              nothing to size from; the reasons beside it say why
    limit-unset, limit-equals-request, limit-kept, limit-ratio, limit-raised, limit-left    how a limit came to be
    autoscaler-utilisation an HPA scales on the utilisation of this request; the way out is in the text
    autoscaler-retarget    the same, where it was allowed: what the HPA's target must become
    replicas-for-load, replicas-floor, replicas-cap, replicas-by-autoscaler, replicas-by-nodes
    hpa-average-value      where the HPA's target comes from

Sources of the constants: DESIGN.md sections 3 and 4; the OOM bump is the VPA's (recommender, model/container.go).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mora.domain import (
    Advice,
    Allocation,
    AmountRange,
    Autoscaler,
    Container,
    ContainerAdvice,
    Demand,
    Reason,
    Recommendation,
    Resources,
    Target,
    TargetDemand,
)
from mora.errors import BadInput
from mora.quantities import MIB, cores_to_millicores, format_cpu, memory_request

LimitPolicy = Literal["unset", "request", "keep", "ratio"]


def _check(what: str, least: float, *values: float) -> None:
    wrong: Sequence[float] = [value for value in values if not (math.isfinite(value) and value >= least)]
    if wrong:
        raise BadInput(f"{what[0].upper()}{what[1:]} must be at least {least:g}, not {wrong[0]}.")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a team may want otherwise. CPU in millicores, memory in bytes, the rest are factors and shares."""

    cpu_buffer: float = 1.2
    """Factor on the CPU centre; applied once, here."""
    memory_buffer: float = 1.15
    """Factor on the memory centre; applied once, here."""
    pinned_factor: float = 1.2
    """Factor on use that was held at a limit: it says "at least", and the next run shall see the rest."""
    oom_bump_factor: float = 1.2
    oom_bump_bytes: int = 100 * MIB
    """After an OOM kill: at least max(peak + bump, peak x factor)."""
    cpu_floor_millicores: int = 10
    memory_floor_bytes: int = 16 * MIB
    cpu_cap_millicores: int | None = None
    memory_cap_bytes: int | None = None
    min_change: float = 0.10
    """A smaller cut is not worth a rollout. A raise is never held back."""
    max_cpu_cut: float = 0.50
    max_memory_cut: float = 0.30
    """The most that one step cuts."""
    allow_any_step: bool = False
    cpu_limit: LimitPolicy = "unset"
    memory_limit: LimitPolicy = "request"
    """unset: none. request: equal to it. keep: as it is, or the request if that is more. ratio: limit:request stays."""
    min_replicas: int = 1
    max_replicas: int | None = None
    target_utilisation: float = 0.7
    """Share of the CPU request at which an HPA adds a replica where no SLO was measured."""
    touch_autoscaled: bool = False
    """Change a request although an HPA scales on its utilisation."""

    def __post_init__(self) -> None:
        _check(
            "buffers and factors", 1.0, self.cpu_buffer, self.memory_buffer, self.pinned_factor, self.oom_bump_factor
        )
        _check(
            "the OOM bump and the floors", 0, self.oom_bump_bytes, self.cpu_floor_millicores, self.memory_floor_bytes
        )
        _check("the replica floor", 1, self.min_replicas)
        for name in ("max_cpu_cut", "max_memory_cut", "target_utilisation"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"{name} is a share above 0 and at most 1, not {getattr(self, name)}.")
        if not 0 <= self.min_change <= 1:
            raise BadInput(f"min_change is a share of 0 to 1, not {self.min_change}.")
        for name, floor in (
            ("cpu_cap_millicores", self.cpu_floor_millicores),
            ("memory_cap_bytes", self.memory_floor_bytes),
            ("max_replicas", self.min_replicas),
        ):
            cap = getattr(self, name)
            if cap is not None and cap < floor:
                raise BadInput(f"{name} is {cap}, below its floor of {floor}.")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a container and bounds its numbers, beside the settings.

    autoscalers: what the HPA of the workload scales on. shares_pod: whether other containers' requests count in the
    utilisation that it sees. limit_range: what the namespace allows a container. no_memory_cut: why memory is not cut.
    """

    autoscalers: tuple[Autoscaler, ...] = ()
    shares_pod: bool = False
    limit_range: AmountRange | None = None
    no_memory_cut: Reason | None = None

    def scaling_on(self, target: Target, container: str) -> Autoscaler | None:
        """The HPA's metric that a new request of the container would move; None where there is none."""
        return next(
            (
                scaler
                for scaler in self.autoscalers
                if scaler.is_utilisation and scaler.resource is target and scaler.container in (None, container)
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A number on its way: millicores or bytes, exact until it is rounded; None where there is none.

    must: what it may never fall below, whatever the settings say. reasons: what made it what it is.
    """

    amount: float | None
    must: float = 0.0
    reasons: tuple[Reason, ...] = ()

    def because(self, code: str, text: str, **changes: float | None) -> Proposal:
        """The same proposal, changed, with one reason more."""
        return replace(self, reasons=(*self.reasons, Reason(code, text)), **changes)  # type: ignore[arg-type]  # fields


Piece = Callable[[Proposal], Proposal]


def compose(*pieces: Piece) -> Piece:
    """One piece that applies all, left to right; a proposal without an amount passes through untouched."""

    def run(proposal: Proposal) -> Proposal:
        for piece in pieces:
            proposal = proposal if proposal.amount is None else piece(proposal)
        return proposal

    return run


@dataclass(frozen=True, slots=True)
class Kind:
    """What differs between CPU and memory: the unit, how it is rounded and written, and its settings."""

    target: Target
    word: str
    to_unit: float
    """Forecast units to amounts: cores to millicores, bytes to bytes."""
    round_up: Callable[[float], int]
    write: Callable[[float], str]

    def amount(self, use: float) -> float:
        """Millicores or bytes of a use in cores or bytes; BadInput where it is not a finite number of at least 0."""
        if not (math.isfinite(use) and use >= 0):
            raise BadInput(f"A {self.word} demand must be a finite number of at least 0, not {use}.")
        return use * self.to_unit


CPU = Kind(Target.CPU, "CPU", 1000.0, lambda m: cores_to_millicores(m / 1000), lambda m: _millicores(m))
MEMORY = Kind(Target.MEMORY, "memory", 1.0, memory_request, lambda b: f"{_short(b / MIB)}Mi")


def recommend(
    demand: Demand,
    current: Allocation,
    settings: PolicySettings = PolicySettings(),
    around: Surroundings | None = None,
) -> Recommendation:
    """What should be set: requests, limits and replicas, each with its reasons. Pure and deterministic.

    demand: what the service needs at a load. current: what is set now; its main container is the one that is sized.
    around: by default the workload's own autoscaler and nothing else.
    """
    main = current.main
    if main is None:
        raise BadInput(f"{demand.workload.name} has no container to size.")
    if around is None:
        around = Surroundings(() if current.autoscaler is None else (current.autoscaler,))
    advice = replace(size(demand, main, settings, around), is_main=True)
    scaling = size_autoscaling(demand, current, advice.cpu_request, settings)
    return Recommendation(
        workload=demand.workload,
        current=current,
        load=demand.load,
        as_of=demand.as_of,
        containers=(advice,),
        replicas=size_replicas(demand, current, settings),
        hpa_average_value_millicores=scaling.average_value_millicores,
        hpa_min_replicas=scaling.min_replicas,
        hpa_max_replicas=scaling.max_replicas,
        reasons=(*demand.reasons, *scaling.reasons),
    )


def size(
    demand: Demand, container: Container, settings: PolicySettings, around: Surroundings = Surroundings()
) -> ContainerAdvice:
    """The four numbers of one container. demand: of that container; its replicas are not looked at."""
    now = container.resources
    cpu_request = _request(CPU, demand, container.name, now.cpu_request_millicores, settings, around)
    memory_request_ = _request(MEMORY, demand, container.name, now.memory_request_bytes, settings, around)
    return ContainerAdvice(
        container=container.name,
        cpu_request=cpu_request,
        cpu_limit=_limit(CPU, cpu_request, now.cpu_limit_millicores, demand, settings, around),
        memory_request=memory_request_,
        memory_limit=_limit(MEMORY, memory_request_, now.memory_limit_bytes, demand, settings, around),
        role=container.role,
    )


# --- the need: what must be covered, before any setting --------------------------------------------------------------


def cpu_need(demand: Demand, settings: PolicySettings) -> Proposal:
    """Millicores a pod needs; twice the demand needs twice as much."""
    if demand.cpu is None:
        return Proposal(None, reasons=_no_number("CPU", demand))
    return compose(
        quantile(demand.cpu, CPU),
        margin(demand.cpu, CPU, settings.cpu_buffer),
        at_least(CPU, "at start-up", demand.startup_cpu_cores),
        sized(CPU),
        raise_pinned(demand.cpu, CPU, settings),
    )(Proposal(0.0))


def memory_need(demand: Demand, settings: PolicySettings) -> Proposal:
    """Bytes a pod needs; twice the demand needs twice as much, but for the OOM bump."""
    if demand.memory is None:
        return Proposal(None, reasons=_no_number("memory", demand))
    return compose(
        quantile(demand.memory, MEMORY),
        margin(demand.memory, MEMORY, settings.memory_buffer),
        at_least(MEMORY, "peak", demand.memory.peak),
        at_least(MEMORY, "at start-up", demand.startup_memory_bytes),
        sized(MEMORY),
        raise_pinned(demand.memory, MEMORY, settings),
        bump_oom(demand, settings),
    )(Proposal(0.0))


def quantile(target: TargetDemand, kind: Kind) -> Piece:
    """Start from the calibrated bound: the quantile that the service's own past has confirmed."""
    return at_least(kind, "calibrated bound", target.bound)


def margin(target: TargetDemand, kind: Kind, buffer: float) -> Piece:
    """At least the centre with its buffer, where it takes one. A wish, not a must: a cap may eat into it."""
    point_forecast = kind.amount(target.point_forecast)

    def piece(proposal: Proposal) -> Proposal:
        if not target.takes_buffer:
            return proposal
        text = f"{kind.write(point_forecast)} mean use x {buffer:g} = {kind.write(point_forecast * buffer)}"
        return proposal.because("part", text, amount=max(proposal.amount or 0.0, point_forecast * buffer))

    return piece


def at_least(kind: Kind, name: str, use: float | None) -> Piece:
    """Cover a use that was measured or calibrated (cores or bytes); a must."""
    amount = None if use is None else kind.amount(use)

    def piece(proposal: Proposal) -> Proposal:
        if amount is None:
            return proposal
        return proposal.because(
            "part",
            f"{kind.write(amount)} {name}",
            amount=max(proposal.amount or 0.0, amount),
            must=max(proposal.must, amount),
        )

    return piece


def sized(kind: Kind) -> Piece:
    """Fold the parts gathered so far into one sentence."""

    def piece(proposal: Proposal) -> Proposal:
        parts = "; ".join(reason.text for reason in proposal.reasons if reason.code == "part")
        text = f"the largest of: {parts} -> {kind.write(kind.round_up(proposal.amount or 0.0))}"
        others = tuple(reason for reason in proposal.reasons if reason.code != "part")
        return replace(proposal, reasons=others).because("sized", text)

    return piece


def raise_pinned(target: TargetDemand, kind: Kind, settings: PolicySettings) -> Piece:
    """Limit-bound use is not demand: go above it, so that the next run can see the rest."""

    def piece(proposal: Proposal) -> Proposal:
        if not target.pinned:
            return proposal
        seen = kind.amount(max(target.bound, target.peak))
        raised = max(proposal.amount or 0.0, seen * settings.pinned_factor)
        text = (
            f"use was held at a limit, so {kind.write(seen)} says 'at least': "
            f"x {settings.pinned_factor:g} = {kind.write(seen * settings.pinned_factor)}"
        )
        return proposal.because("pinned", text, amount=raised, must=max(proposal.must, seen))

    return piece


def bump_oom(demand: Demand, settings: PolicySettings) -> Piece:
    """After an OOM kill, at least max(peak + bump, peak x factor)."""

    def piece(proposal: Proposal) -> Proposal:
        if demand.oom_kills < 1 or demand.memory is None:
            return proposal
        peak = max(demand.oom_peak_bytes or 0.0, demand.memory.peak)
        bumped = max(peak + settings.oom_bump_bytes, peak * settings.oom_bump_factor)
        text = (
            f"{demand.oom_kills} OOM kill{'s' if demand.oom_kills > 1 else ''} at {MEMORY.write(peak)}: at least "
            f"max({MEMORY.write(peak)} + {MEMORY.write(settings.oom_bump_bytes)}, x {settings.oom_bump_factor:g}) "
            f"= {MEMORY.write(bumped)}"
        )
        return proposal.because(
            "oom-bump", text, amount=max(proposal.amount or 0.0, bumped), must=max(proposal.must, bumped)
        )

    return piece


# --- the advice: rounded, within the settings, one step at a time ----------------------------------------------------


def rounded(kind: Kind) -> Piece:
    """Whole millicores, whole Mi: up, never down."""
    return lambda proposal: replace(proposal, amount=float(kind.round_up(proposal.amount or 0.0)))


def floor(kind: Kind, least: int) -> Piece:
    """Never below what the settings ask for."""

    def piece(proposal: Proposal) -> Proposal:
        if (proposal.amount or 0.0) >= least:
            return proposal
        return proposal.because("floor", f"raised to the floor of {kind.write(least)}", amount=float(least))

    return piece


def cap(kind: Kind, most: int | None, *, is_hard: bool) -> Piece:
    """Never above what the settings allow; no number where that is below what must be covered and `is_hard`."""

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if most is None or amount <= most:
            return proposal
        if is_hard and proposal.must > most:
            text = f"the cap of {kind.write(most)} is below the {kind.write(proposal.must)} that must be covered"
            return proposal.because("cap-below-need", text, amount=None)
        return proposal.because(
            "cap", f"{kind.write(amount)} lowered to the cap of {kind.write(most)}", amount=float(most)
        )

    return piece


def step(kind: Kind, now: int | None, max_cut: float, *, is_pinned: bool, settings: PolicySettings) -> Piece:
    """How far to go at once from what is set: raises at once, small cuts not at all, large cuts in steps."""

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if not now or amount >= now:
            return proposal
        cut = 1.0 - amount / now
        if is_pinned:
            text = f"a cut to {kind.write(amount)} is refused: use was held at a limit, the need may be higher"
            return proposal.because("held-pinned", text, amount=float(now))
        # Float noise must not make a cut of exactly the threshold too small: 90 of 100 is a cut of 10 %.
        if round(cut, 9) < settings.min_change:
            text = (
                f"stays at {kind.write(now)}: the cut to {kind.write(amount)} ({cut:.1%}) is below the "
                f"{settings.min_change:.0%} worth a rollout"
            )
            return proposal.because("held-small-cut", text, amount=float(now))
        least = math.ceil(round(now * (1.0 - max_cut), 6))
        if settings.allow_any_step or amount >= least:
            return proposal
        stepped = min(kind.round_up(least), now)
        text = (
            f"on the way to {kind.write(amount)}: one step cuts at most {max_cut:.0%} of {kind.write(now)}, "
            f"so {kind.write(stepped)} now"
        )
        return proposal.because("stepped", text, amount=float(stepped))

    return piece


def allowed(kind: Kind, now: int | None, around: Surroundings) -> Piece:
    """What is not up to the settings: memory that may not be cut, and what the namespace allows a container."""
    lowest = _bound_of(kind, None if around.limit_range is None else around.limit_range.least)
    highest = _bound_of(kind, None if around.limit_range is None else around.limit_range.most)

    def piece(proposal: Proposal) -> Proposal:
        held = around.no_memory_cut
        if kind is MEMORY and held is not None and now and (proposal.amount or 0.0) < now:
            text = f"{held.text}: the cut to {kind.write(proposal.amount or 0.0)} is not made"
            proposal = proposal.because(held.code, text, amount=float(now))
        if lowest is not None and (proposal.amount or 0.0) < lowest:
            text = f"raised to {kind.write(lowest)}, the least that the namespace's LimitRange allows a container"
            proposal = proposal.because("limit-range", text, amount=float(lowest))
        if highest is None or (proposal.amount or 0.0) <= highest:
            return proposal
        if kind is MEMORY and proposal.must > highest:
            text = (
                f"the namespace's LimitRange allows a container {kind.write(highest)} at most, below the "
                f"{kind.write(proposal.must)} that must be covered"
            )
            return proposal.because("cap-below-need", text, amount=None)
        text = f"lowered to {kind.write(highest)}, the most that the namespace's LimitRange allows a container"
        return proposal.because("limit-range", text, amount=float(highest))

    return piece


def _bound_of(kind: Kind, amounts: Resources | None) -> int | None:
    """What a LimitRange says of a resource: it holds for requests and limits alike."""
    if amounts is None:
        return None
    if kind is CPU:
        both = amounts.cpu_request_millicores, amounts.cpu_limit_millicores
    else:
        both = amounts.memory_request_bytes, amounts.memory_limit_bytes
    return both[1] if both[0] is None else both[0]


def _request(
    kind: Kind, demand: Demand, container: str, now: int | None, settings: PolicySettings, around: Surroundings
) -> Advice:
    target = demand.cpu if kind is CPU else demand.memory
    needed = cpu_need if kind is CPU else memory_need
    need, tested = needed(demand, settings), needed(demand, _as_tested(settings))
    if target is None or need.amount is None:
        return Advice(now=now, value=None, reasons=need.reasons)
    within = _within(kind, now, is_pinned=_is_pinned(kind, demand), settings=settings)
    proposal = compose(within, allowed(kind, now, around))(need)
    autoscaler = around.scaling_on(kind.target, container)
    if autoscaler is not None:
        wanted, is_shared = proposal.amount, around.shares_pod and autoscaler.container is None
        if not settings.touch_autoscaled:
            return Advice(
                now=now, value=None, reasons=(_hands_off(kind, autoscaler, now, wanted, is_shared=is_shared),)
            )
        if wanted is not None and now and not is_shared:
            proposal = proposal.because("autoscaler-retarget", _retarget(kind, autoscaler, now, wanted))
    if proposal.amount is None:
        return Advice(now=now, value=None, reasons=proposal.reasons)
    # A number that a cap holds below the need makes a promise that nobody has tested: it gets no confidence. Nor does
    # one that answers use held at a limit: what the need was there, no held-out run can tell.
    is_pinned, amount = _is_pinned(kind, demand), proposal.amount
    is_tested = amount >= kind.round_up(tested.amount or 0.0)
    if is_pinned:
        text = "no confidence: what is needed beyond a limit is not known before it is raised"
        proposal = proposal.because("no-confidence", text)
    elif not is_tested and amount >= need.amount:
        text = f"no confidence: held-out runs were scored with the usual buffer, {kind.write(tested.amount or 0.0)}"
        proposal = proposal.because("no-confidence", text)
    return Advice(
        now=now,
        value=int(amount),
        confidence=target.confidence if is_tested and not is_pinned else None,
        windows=target.windows,
        reasons=(*target.reasons, *proposal.reasons),
    )


def _as_tested(settings: PolicySettings) -> PolicySettings:
    """The settings with buffers no smaller than those that held-out runs were scored with (model/calibration.py)."""
    usual = PolicySettings()
    return replace(
        settings,
        cpu_buffer=max(settings.cpu_buffer, usual.cpu_buffer),
        memory_buffer=max(settings.memory_buffer, usual.memory_buffer),
    )


def _within(kind: Kind, now: int | None, *, is_pinned: bool, settings: PolicySettings) -> Piece:
    """From a need to a number to set: whole, within the settings, and not too far from `now` at once."""
    if kind is CPU:
        least, most, max_cut = settings.cpu_floor_millicores, settings.cpu_cap_millicores, settings.max_cpu_cut
    else:
        least, most, max_cut = settings.memory_floor_bytes, settings.memory_cap_bytes, settings.max_memory_cut
    return compose(
        rounded(kind),
        floor(kind, least),
        # Too little CPU is slow, too little memory is a kill; and below use that was held at a limit nothing is known.
        cap(kind, most, is_hard=kind is MEMORY or is_pinned),
        step(kind, now, max_cut, is_pinned=is_pinned, settings=settings),
    )


def _is_pinned(kind: Kind, demand: Demand) -> bool:
    """Use was held at a limit; an OOM kill is the hardest way to hold it."""
    if kind is CPU:
        return demand.cpu is not None and demand.cpu.pinned
    return demand.oom_kills > 0 or (demand.memory is not None and demand.memory.pinned)


# --- limits ----------------------------------------------------------------------------------------------------------


def _limit(
    kind: Kind, request: Advice, now: int | None, demand: Demand, settings: PolicySettings, around: Surroundings
) -> Advice:
    """The limit that belongs to a request; at least the request, and cut no faster than one."""
    if request.value is None:
        return Advice(now=now, value=None, is_unset=now is None, reasons=(_LEFT,))
    wanted = _wanted_limit(kind, request, now, settings.cpu_limit if kind is CPU else settings.memory_limit)
    if wanted.amount is None:
        wanted = _given_anyway(kind, wanted, request.value, around)
    if wanted.amount is None:
        return Advice(now=now, value=None, is_unset=True, reasons=wanted.reasons)
    max_cut = settings.max_cpu_cut if kind is CPU else settings.max_memory_cut
    stepped = step(kind, now, max_cut, is_pinned=_is_pinned(kind, demand), settings=settings)
    # Its request is within the LimitRange already, so a limit that is lowered stays above it.
    proposal = compose(stepped, allowed(kind, now, around))(wanted)
    return Advice(
        now=now,
        value=int(proposal.amount or 0),
        confidence=request.confidence,
        windows=request.windows,
        reasons=proposal.reasons,
    )


def _given_anyway(kind: Kind, unset: Proposal, request: int, around: Surroundings) -> Proposal:
    """A LimitRange gives every container without a limit one; a pod whose request is above that is refused."""
    allowed_range = around.limit_range or AmountRange()
    given = allowed_range.given.cpu_limit_millicores if kind is CPU else allowed_range.given.memory_limit_bytes
    if given is None:
        highest = _bound_of(kind, allowed_range.most)
        if highest is None:
            return unset
        text = f"the namespace's LimitRange (at most {kind.write(highest)}) gives a container without a limit its own"
        return unset.because("limit-range", text)
    if request <= given:
        text = f"the namespace's LimitRange gives a container without a limit one of {kind.write(given)}"
        return unset.because("limit-range", text)
    text = (
        f"equal to the request of {kind.write(request)}: without a limit the namespace's LimitRange would give it one "
        f"of {kind.write(given)}, and a pod that requests more is refused"
    )
    return Proposal(float(request)).because("limit-range", text)


_LEFT = Reason("limit-left", "left as it is, together with its request")


def _wanted_limit(kind: Kind, request: Advice, now: int | None, policy: LimitPolicy) -> Proposal:
    amount = float(request.value or 0)
    nothing = Proposal(None)
    if policy == "unset":
        return nothing.because("limit-unset", f"no {kind.word} limit: idle {kind.word} of the node may be used")
    if policy == "request":
        text = f"equal to the request of {kind.write(amount)}: what is promised is there"
        return Proposal(amount).because("limit-equals-request", text)
    if now is None:
        return nothing.because("limit-unset", f"there is no {kind.word} limit, and none is added")
    if policy == "ratio" and request.now:
        ratio = max(now / request.now, 1.0)
        text = f"{ratio:.3g}x the request, as now ({kind.write(now)} to {kind.write(request.now)})"
        return Proposal(float(kind.round_up(amount * ratio))).because("limit-ratio", text)
    if policy == "ratio":
        # As the VPA does: a limit without a request was a request of the same size.
        return Proposal(amount).because("limit-equals-request", "there was no request to keep the ratio to")
    if now >= amount:
        return Proposal(float(now)).because("limit-kept", f"stays at {kind.write(now)}")
    text = f"raised from {kind.write(now)} to the request of {kind.write(amount)}"
    return Proposal(amount).because("limit-raised", text)


# --- replicas and their autoscaler -----------------------------------------------------------------------------------


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
    demand: Demand, current: Allocation, settings: PolicySettings, *, unknown: Reason | None = None
) -> Advice:
    """How many replicas carry the load. unknown: why there is no number, where the demand does not say it itself."""
    now = current.replicas
    target = demand.replicas
    if demand.workload.kind == "DaemonSet":
        return Advice(now, None, reasons=(Reason("replicas-by-nodes", "a DaemonSet runs one pod on every node"),))
    if current.autoscaler is not None:
        scaler = current.autoscaler
        text = f"left to the autoscaler {scaler.name} ({scaler.min_replicas} to {scaler.max_replicas} replicas)"
        return Advice(now, None, reasons=(Reason("replicas-by-autoscaler", text),))
    if target is None:
        return Advice(now, None, reasons=_no_number("replicas", demand) if unknown is None else (unknown,))
    needed = _needed_replicas(target)
    reasons = [*target.reasons]
    if not reasons:
        reasons.append(Reason("replicas-for-load", f"{needed} carry the load"))
    value = max(needed, settings.min_replicas)
    if value > needed:
        reasons.append(Reason("replicas-floor", f"raised to the floor of {settings.min_replicas}"))
    if settings.max_replicas is not None and value > settings.max_replicas:
        text = f"the cap of {settings.max_replicas} is below the {value} needed"
        return Advice(now, None, reasons=(*reasons, Reason("replicas-cap", text)))
    return Advice(now, value, target.confidence, target.windows, reasons=tuple(reasons))


def _needed_replicas(target: TargetDemand) -> int:
    return max(1, math.ceil(round(max(target.point_forecast, target.bound), 6)))


def size_autoscaling(demand: Demand, current: Allocation, cpu_request: Advice, settings: PolicySettings) -> Autoscaling:
    """What an HPA on the use per pod should be set to.

    The use per pod at the load and the replicas that were chosen for it is the honest target: there the SLO was kept.
    Where no load was driven, a share of the recommended request has to do. The most replicas leave room for twice the
    load.
    """
    if demand.cpu is None or demand.workload.kind == "DaemonSet":
        return Autoscaling()
    least_use = settings.target_utilisation * settings.cpu_floor_millicores
    request = cpu_request.value if cpu_request.value is not None else cpu_request.now
    if demand.replicas is not None and demand.load is not None:
        use = CPU.amount(demand.cpu.point_forecast)
        count = _needed_replicas(demand.replicas)
        source = f"the mean use at {demand.load.users} users of {demand.load.scenario} on {count} replicas"
    elif request is not None:
        use = settings.target_utilisation * request
        source = f"{settings.target_utilisation:.0%} of the request of {_millicores(request)}"
    else:
        return Autoscaling()
    average = cores_to_millicores(max(use, least_use, 1.0) / 1000)
    needed = _needed_replicas(demand.replicas) if demand.replicas is not None else (current.replicas or 1)
    scaler = current.autoscaler
    least = max(settings.min_replicas, scaler.min_replicas if scaler else 1)
    most = max(2 * needed, least, scaler.max_replicas if scaler else 1)
    if settings.max_replicas is not None:
        most = max(min(most, settings.max_replicas), least)
    text = f"an HPA adds a replica above {format_cpu(average)} a pod, {source}; {least} to {most} replicas"
    return Autoscaling(average, least, most, (Reason("hpa-average-value", text),))


def _hands_off(kind: Kind, autoscaler: Autoscaler, now: int | None, wanted: float | None, *, is_shared: bool) -> Reason:
    """Why an autoscaled request is left alone, and the two ways out.

    A smaller request makes the same use a higher utilisation, so the HPA adds pods, so use per pod falls, so the next
    recommendation is smaller still: a ratchet.
    """
    text = (
        f"the HPA {autoscaler.name} scales on {autoscaler.target}% utilisation of the {kind.word} request, so another "
        "request would move its replicas"
    )
    if wanted is None:
        return Reason("autoscaler-utilisation", text)
    way = f"; {kind.write(wanted)} would do: let the HPA scale on averageValue first (mora recommend -o hpa)"
    if is_shared:
        way += ", or change both at once (--retarget-hpa), for every container of the pod counts"
    elif now:
        way += f", or change both at once (--retarget-hpa): {_retarget(kind, autoscaler, now, wanted)}"
    return Reason("autoscaler-utilisation", text + way)


def _retarget(kind: Kind, autoscaler: Autoscaler, now: int, wanted: float) -> str:
    percent = max(1, math.floor(round(autoscaler.target * now / wanted, 6)))
    return (
        f"set its target from {autoscaler.target}% of {kind.write(now)} to {percent}% of {kind.write(wanted)}, "
        "the same use per pod"
    )


# --- small things ----------------------------------------------------------------------------------------------------


def _no_number(word: str, demand: Demand) -> tuple[Reason, ...]:
    texts = "; ".join(reason.text for reason in demand.reasons)
    return (Reason("no-number", texts or f"too little data to size {word}"),)


def _short(value: float) -> str:
    """A figure for a person, who shall be able to redo the arithmetic: one decimal below 1000, whole above.

    >>> _short(3.14159), _short(126.8), _short(4.0), _short(1536.4)
    ('3.1', '126.8', '4', '1536')
    """
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 1000 else f"{value:.0f}"


def _millicores(millicores: float) -> str:
    return format_cpu(int(millicores)) if millicores == int(millicores) else f"{_short(millicores)}m"
