"""The limit that belongs to a request."""

from __future__ import annotations

import math
from dataclasses import replace

from mora.domain import Advice, AmountRange, Demand, Reason
from mora.policies.change import allowed, bound_of, for_runtime, is_limit_bound, step
from mora.policies.proposal import CPU, MEMORY, Kind, Piece, Proposal, compose
from mora.policies.settings import LimitPolicy, PolicySettings, Surroundings
from mora.quantities import MIB

_UNCHANGED = Reason("limit-unchanged", "unchanged, as its request is")


def size_limit(
    kind: Kind, request: Advice, now: int | None, demand: Demand, settings: PolicySettings, around: Surroundings
) -> Advice:
    """The limit that belongs to a request; at least the request, and cut no faster than one."""
    if request.value is None:
        return Advice(now, None, is_unset=now is None, reasons=(_UNCHANGED,), summary=_UNCHANGED.text)
    wanted = _wanted(kind, request, now, settings.cpu_limit if kind is CPU else settings.memory_limit)
    ratio = ratio_of(kind, around.limit_range)
    if kind is MEMORY and now is None and around.no_memory_cut is not None:
        text = f"there is no memory limit now, and none is added: {around.no_memory_cut.text}"
        wanted = Proposal(None).because("limit-unset", text, amount=None, basis=text)
    if wanted.amount is None:
        wanted = (
            _given_anyway(kind, wanted, request.value, now, around)
            if ratio is None
            else _asked_for(kind, now, request.value, ratio)
        )
    if wanted.amount is None:
        return Advice(now, None, is_unset=True, reasons=wanted.reasons, summary=wanted.summary)
    max_cut = settings.max_cpu_cut if kind is CPU else settings.max_memory_cut
    stepped = step(kind, now, max_cut, is_limit_bound=is_limit_bound(kind, demand), settings=settings)
    # Its request is within the LimitRange already, so a limit that is lowered stays above it.
    proposal = compose(
        for_runtime(kind, now, around.runtime),
        stepped,
        allowed(kind, now, around),
        _within_ratio(kind, request.value, ratio),
    )(wanted)
    return Advice(
        now=now,
        value=int(proposal.amount or 0),
        confidence=request.confidence,
        windows=request.windows,
        reasons=proposal.reasons,
        summary=proposal.summary,
        goal=_goal(kind, proposal, request, now, demand, settings, around),
    )


def _goal(
    kind: Kind,
    proposal: Proposal,
    request: Advice,
    now: int | None,
    demand: Demand,
    settings: PolicySettings,
    around: Surroundings,
) -> int | None:
    """The limit that belongs to the request after its last change; None where this change is the last one."""
    if request.goal is not None:
        at_once = replace(settings, allow_any_step=True)
        return size_limit(kind, request.at_goal, now, demand, at_once, around).value
    return None if proposal.goal is None else int(proposal.goal)


def _wanted(kind: Kind, request: Advice, now: int | None, policy: LimitPolicy) -> Proposal:
    amount = float(request.value or 0)
    nothing = Proposal(None)
    if policy == "unset":
        text = f"no {kind.word} limit: the container may use idle {kind.word} of its node"
        return nothing.because("limit-unset", text, amount=None, basis=text)
    if policy == "request":
        why = "" if kind is CPU else ": memory cannot be overcommitted"
        text = f"equal to the request of {kind.write(amount)}{why}"
        return nothing.because("limit-equals-request", text, amount=amount, basis=text)
    if now is None:
        text = f"there is no {kind.word} limit now, and none is added"
        return nothing.because("limit-unset", text, amount=None, basis=text)
    if policy == "ratio" and request.now:
        ratio = max(now / request.now, 1.0)
        text = f"{ratio:.3g}x the request, as now ({kind.write(now)} to {kind.write(request.now)})"
        return nothing.because("limit-ratio", text, amount=float(kind.round_up(amount * ratio)), basis=text)
    if policy == "ratio":
        # As the VPA does: a limit without a request was a request of the same size.
        text = "equal to the request: no request is set now, so there is no ratio to keep"
        return nothing.because("limit-equals-request", text, amount=amount, basis=text)
    if now >= amount:
        text = f"stays at {kind.write(now)}"
        return nothing.because("limit-kept", text, amount=float(now), basis=text)
    text = f"raised from {kind.write(now)} to the request of {kind.write(amount)}"
    return nothing.because("limit-raised", text, amount=amount, basis=text)


def ratio_of(kind: Kind, allowed_range: AmountRange | None) -> float | None:
    """How many times its request a limit may be at most; None where the namespace does not say."""
    if allowed_range is None:
        return None
    return allowed_range.cpu_ratio if kind is CPU else allowed_range.memory_ratio


def _asked_for(kind: Kind, now: int | None, request: int, ratio: float) -> Proposal:
    """Where limits may be so many times the request, a container without a limit is refused."""
    amount = float(_most(kind, request, ratio)) if now is None else max(float(now), float(request))
    stays = "set" if now is None else "kept"
    text = (
        f"{stays} at {kind.write(amount)}: the namespace's LimitRange refuses a container without a {kind.word} limit, "
        f"and one with more than {ratio:g} times its request"
    )
    basis = f"{stays}: the LimitRange asks for a limit of at most {ratio:g}x the request"
    return Proposal(None).because("limit-range", text, amount=amount, basis=basis)


def _within_ratio(kind: Kind, request: int, ratio: float | None) -> Piece:
    def piece(proposal: Proposal) -> Proposal:
        if ratio is None or (proposal.amount or 0.0) <= request * ratio:
            return proposal
        most = _most(kind, request, ratio)
        text = f"lowered to {kind.write(most)}: the namespace's LimitRange allows {ratio:g} times the request"
        outcome = f"lowered to {ratio:g}x the request, the LimitRange's maximum"
        return proposal.because("limit-range", text, amount=float(most), outcome=outcome)

    return piece


def _most(kind: Kind, request: int, ratio: float) -> int:
    """The highest limit that a ratio allows, in whole millicores or Mi; at least the request."""
    unit = 1 if kind is CPU else MIB
    return max(math.floor(round(request * ratio / unit, 6)) * unit, request)


def _given_anyway(kind: Kind, unset: Proposal, request: int, now: int | None, around: Surroundings) -> Proposal:
    """A LimitRange gives every container without a limit one; a pod whose request is above that is refused."""
    allowed_range = around.limit_range or AmountRange()
    given = allowed_range.given.cpu_limit_millicores if kind is CPU else allowed_range.given.memory_limit_bytes
    if given is None:
        highest = bound_of(kind, allowed_range.maximum)
        if highest is None:
            return unset
        text = f"the namespace's LimitRange (at most {kind.write(highest)}) gives a container without a limit its own"
        return unset.remarked("limit-range", text)
    if request <= given and now == given:
        text = f"stays at {kind.write(given)}, which the namespace's LimitRange gives a container without a limit"
        return Proposal(None).because("limit-range", text, amount=float(given), basis=text)
    if request <= given:
        text = f"the namespace's LimitRange gives a container without a limit one of {kind.write(given)}"
        return replace(unset.remarked("limit-range", text), basis=f"not set here: {text}")
    text = (
        f"equal to the request of {kind.write(request)}: without a limit the namespace's LimitRange would give it one "
        f"of {kind.write(given)}, and a pod that requests more is refused"
    )
    basis = f"equal to the request: the LimitRange would set {kind.write(given)}, below the request"
    return Proposal(None).because("limit-range", text, amount=float(request), basis=basis)
