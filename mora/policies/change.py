"""The change: a need rounded up, within the settings, one step at a time, and within what the namespace allows."""

from __future__ import annotations

import math
from dataclasses import replace

from mora.domain import Demand, Reason, Resources
from mora.domain.runtimes import Runtime
from mora.policies.proposal import CPU, MEMORY, Kind, Piece, Proposal, compose
from mora.policies.settings import PolicySettings, Surroundings
from mora.quantities import readable_bytes

# The most that a raise may be and still not be worth a rollout: CPU that is a little short is a little slower.
_SMALL_RAISE = 0.05


def within(kind: Kind, now: int | None, *, is_limit_bound: bool, settings: PolicySettings) -> Piece:
    """From a need to a number to set: whole, within the settings, and not too far from `now` at once."""
    if kind is CPU:
        least, most, max_cut = settings.cpu_floor_millicores, settings.cpu_cap_millicores, settings.max_cpu_cut
    else:
        least, most, max_cut = settings.memory_floor_bytes, settings.memory_cap_bytes, settings.max_memory_cut
    return compose(
        rounded(kind),
        floor(kind, least),
        # Too little CPU is slow, too little memory is a kill; and below limit-bound use nothing is known.
        cap(kind, most, is_hard=kind is MEMORY or is_limit_bound),
        small_raise(kind, now, is_limit_bound=is_limit_bound, settings=settings),
        step(kind, now, max_cut, is_limit_bound=is_limit_bound, settings=settings),
    )


def is_limit_bound(kind: Kind, demand: Demand) -> bool:
    """Whether demand may be higher than what was seen; an OOM kill proves it."""
    if kind is CPU:
        return demand.cpu is not None and demand.cpu.is_limit_bound
    return demand.oom_kills > 0 or (demand.memory is not None and demand.memory.is_limit_bound)


def rounded(kind: Kind) -> Piece:
    """Whole millicores, whole Mi: up, never down."""
    return lambda proposal: replace(proposal, amount=float(kind.round_up(proposal.amount or 0.0)))


def floor(kind: Kind, least: int) -> Piece:
    """Never below what the settings ask for."""

    def piece(proposal: Proposal) -> Proposal:
        if (proposal.amount or 0.0) >= least:
            return proposal
        text = f"raised to the floor of {kind.write(least)}"
        return proposal.because("floor", text, amount=float(least), outcome=text)

    return piece


def cap(kind: Kind, most: int | None, *, is_hard: bool) -> Piece:
    """Never above what the settings allow; no number where that is below what must be covered and `is_hard`."""

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if most is None or amount <= most:
            return proposal
        if is_hard and proposal.must > most:
            text = f"the cap of {kind.write(most)} is below the {kind.write(proposal.must)} that must be covered"
            return proposal.because("cap-below-need", text, amount=None, outcome=f"no recommendation: {text}")
        lowered = f"lowered to the cap of {kind.write(most)}"
        return proposal.because("cap", f"{kind.write(amount)} {lowered}", amount=float(most), outcome=lowered)

    return piece


def small_raise(kind: Kind, now: int | None, *, is_limit_bound: bool, settings: PolicySettings) -> Piece:
    """A raise by a few per cent is not made: from one day to the next a need moves by as much.

    Memory that must be covered is raised whatever little is missing.
    """
    worth = min(settings.min_change / 2, _SMALL_RAISE)

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if not now or amount <= now or is_limit_bound or (kind is MEMORY and now < proposal.must):
            return proposal
        raised = amount / now - 1.0
        if round(raised, 9) >= worth:
            return proposal
        text = (
            f"stays at {kind.write(now)}: the raise to {kind.write(amount)} ({raised:.1%}) is deferred; raises below "
            f"{worth:.0%} are not worth a rollout"
        )
        outcome = f"unchanged: a raise below {worth:.0%} is not worth a rollout"
        return proposal.because("deferred", text, amount=float(now), outcome=outcome)

    return piece


def step(kind: Kind, now: int | None, max_cut: float, *, is_limit_bound: bool, settings: PolicySettings) -> Piece:
    """How far to go at once from what is set: raises in full, small cuts not at all, large cuts in steps."""

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if not now or amount >= now:
            return proposal
        cut = 1.0 - amount / now
        if is_limit_bound:
            text = (
                f"stays at {kind.write(now)}: it is not cut to {kind.write(amount)} while use is limit-bound, since "
                "real demand may be higher"
            )
            outcome = "unchanged: not cut while use is limit-bound"
            return proposal.because("kept-limit-bound", text, amount=float(now), outcome=outcome)
        # Float noise must not make a cut of exactly the threshold too small: 90 of 100 is a cut of 10 %.
        if round(cut, 9) < settings.min_change:
            worth = f"{settings.min_change:.0%}"
            text = (
                f"stays at {kind.write(now)}: the cut to {kind.write(amount)} ({cut:.1%}) is deferred; cuts below "
                f"{worth} are not worth a rollout"
            )
            outcome = f"unchanged: a cut below {worth} is not worth a rollout"
            return proposal.because("deferred", text, amount=float(now), outcome=outcome)
        least = math.ceil(round(now * (1.0 - max_cut), 6))
        if settings.allow_any_step or amount >= least:
            return proposal
        stepped = min(kind.round_up(least), now)
        text = (
            f"step limit: one change cuts at most {max_cut:.0%} of {kind.write(now)}, so {kind.write(stepped)} for now "
            f"and {kind.write(amount)} later"
        )
        outcome = f"step limit: at most -{max_cut:.0%} per change, {kind.write(stepped)} for now"
        return proposal.because("stepped", text, amount=float(stepped), outcome=outcome, goal=amount)

    return piece


def for_runtime(kind: Kind, now: int | None, runtime: Runtime | None) -> Piece:
    """Memory that is not cut below what a runtime may take; and a remark that a raise alone gives it no more."""
    least = None if runtime is None or runtime.container_bytes is None else kind.round_up(runtime.container_bytes)

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        if kind is not MEMORY or runtime is None or least is None:
            return proposal
        if now and amount > now:
            text = f"{_may_take(runtime)}: where it needs more itself, raise both together"
            return proposal.remarked("runtime", text)
        if amount >= least or (now and now <= least):  # in the latter case nothing is cut (allowed)
            return proposal
        text = f"not below {kind.write(least)}: {_with_what_it_needs(runtime, amount)}"
        basis = f"{runtime.name} may take {readable_bytes(runtime.most_bytes or 0)}"
        return proposal.because("runtime", text, amount=float(least), basis=basis)

    return piece


def _may_take(runtime: Runtime) -> str:
    return f"{runtime.told_by} lets {runtime.name} take {readable_bytes(runtime.most_bytes or 0)}"


def _with_what_it_needs(runtime: Runtime, wanted: float) -> str:
    needed = readable_bytes(runtime.container_bytes or 0)
    return (
        f"{_may_take(runtime)}, and what it needs beside that makes it {needed}. Its use would do with "
        f"{MEMORY.write(wanted)}: to save that, lower both together, {runtime.name} to "
        f"{readable_bytes(runtime.most_within(wanted))}"
    )


def _kept(kind: Kind, now: int, wanted: float, around: Surroundings) -> tuple[Reason, str] | None:
    """Why a resource is not cut, and that in short; None where it may be."""
    kept, runtime = around.kept(kind.target), around.runtime
    if kept is not None:
        return kept, kept.text
    if kind is MEMORY and runtime is not None and now <= (runtime.container_bytes or 0):
        return Reason("runtime", _with_what_it_needs(runtime, wanted)), _may_take(runtime)
    return None


def allowed(kind: Kind, now: int | None, around: Surroundings) -> Piece:
    """What is not up to the settings: memory that may not be cut, and what the namespace allows a container."""
    lowest = bound_of(kind, None if around.limit_range is None else around.limit_range.minimum)
    highest = bound_of(kind, None if around.limit_range is None else around.limit_range.maximum)

    def piece(proposal: Proposal) -> Proposal:
        wanted = (proposal.amount if proposal.goal is None else proposal.goal) or 0.0
        if now and (proposal.amount or 0.0) < now and (kept := _kept(kind, now, wanted, around)) is not None:
            # How far one change would have gone says nothing any more.
            reasons = tuple(one for one in proposal.reasons if one.code != "stepped")
            why, short = kept
            text = f"stays at {kind.write(now)}, not cut to {kind.write(wanted)}: {why.text}"
            proposal = replace(proposal, reasons=reasons)
            proposal = proposal.because(why.code, text, amount=float(now), outcome=f"unchanged: {short}")
        if lowest is not None and (proposal.amount or 0.0) < lowest:
            text = f"raised to {kind.write(lowest)}, the minimum that the namespace's LimitRange allows a container"
            outcome = f"raised to the LimitRange's minimum of {kind.write(lowest)}"
            proposal = proposal.because("limit-range", text, amount=float(lowest), outcome=outcome)
        if lowest is not None and proposal.goal is not None:
            proposal = replace(proposal, goal=max(proposal.goal, float(lowest)))
        if highest is None or (proposal.amount or 0.0) <= highest:
            return proposal
        if kind is MEMORY and proposal.must > highest:
            text = (
                f"the namespace's LimitRange allows a container at most {kind.write(highest)}, below the "
                f"{kind.write(proposal.must)} that must be covered"
            )
            outcome = f"no recommendation: the LimitRange's maximum of {kind.write(highest)} is below the need"
            return proposal.because("cap-below-need", text, amount=None, outcome=outcome)
        text = f"lowered to {kind.write(highest)}, the maximum that the namespace's LimitRange allows a container"
        outcome = f"lowered to the LimitRange's maximum of {kind.write(highest)}"
        return proposal.because("limit-range", text, amount=float(highest), outcome=outcome, goal=proposal.goal)

    return piece


def whole_cores(kind: Kind, around: Surroundings) -> Piece:
    """Whole cores stay whole where a static CPU manager may give them to the container for its own."""

    def piece(proposal: Proposal) -> Proposal:
        amount = proposal.amount or 0.0
        whole = math.ceil(round(amount / 1000, 6)) * 1000.0
        goal = None if proposal.goal is None else math.ceil(round(proposal.goal / 1000, 6)) * 1000.0
        if kind is not CPU or not around.keeps_cores or whole == amount:
            return replace(proposal, goal=goal) if kind is CPU and around.keeps_cores else proposal
        text = (
            f"{kind.write(amount)} rounded up to {kind.write(whole)}: its pods are Guaranteed with whole cores, "
            "which a static CPU manager gives them for their own"
        )
        outcome = f"whole cores: {kind.write(whole)}"
        return proposal.because("whole-cores", text, amount=whole, outcome=outcome, goal=goal)

    return piece


def bound_of(kind: Kind, amounts: Resources | None) -> int | None:
    """A LimitRange's bound on a resource; it applies to requests and limits alike."""
    if amounts is None:
        return None
    if kind is CPU:
        both = amounts.cpu_request_millicores, amounts.cpu_limit_millicores
    else:
        both = amounts.memory_request_bytes, amounts.memory_limit_bytes
    return both[1] if both[0] is None else both[0]
