"""The need: what must be covered, before any setting."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Demand, Reason, TargetDemand
from mora.policies.proposal import CPU, MEMORY, Kind, Piece, Proposal, compose
from mora.policies.settings import PolicySettings


def cpu_need(demand: Demand, settings: PolicySettings) -> Proposal:
    """Millicores a pod needs; twice the demand needs twice as much."""
    if demand.cpu is None:
        return _no_need("CPU", demand)
    return compose(
        quantile(demand.cpu, CPU),
        margin(demand.cpu, CPU, settings.cpu_buffer),
        at_least(CPU, "start-up peak", demand.startup_cpu_cores),
        sized(CPU),
        raise_limit_bound(demand.cpu, CPU, settings),
    )(Proposal(0.0))


def memory_need(demand: Demand, settings: PolicySettings) -> Proposal:
    """Bytes a pod needs; twice the demand needs twice as much, but for the OOM bump."""
    if demand.memory is None:
        return _no_need("memory", demand)
    return compose(
        quantile(demand.memory, MEMORY),
        margin(demand.memory, MEMORY, settings.memory_buffer),
        at_least(MEMORY, demand.memory.peak_label, demand.memory.peak),
        at_least(MEMORY, "start-up peak", demand.startup_memory_bytes),
        sized(MEMORY),
        raise_limit_bound(demand.memory, MEMORY, settings),
        bump_oom(demand, settings),
    )(Proposal(0.0))


def quantile(target: TargetDemand, kind: Kind) -> Piece:
    """Start from the calibrated upper bound: the quantile that the service's own past has confirmed."""
    return at_least(kind, target.bound_label, target.bound)


def margin(target: TargetDemand, kind: Kind, buffer: float) -> Piece:
    """At least the point forecast with its buffer, where it takes one. A wish, not a must: a cap may eat into it."""
    mean = kind.amount(target.point_forecast)

    def piece(proposal: Proposal) -> Proposal:
        if not target.takes_buffer:
            return proposal
        buffered, now = mean * buffer, proposal.amount or 0.0
        text = f"{target.point_label} {kind.write(mean)} x {buffer:g} = {kind.write(buffered)}"
        headroom = f" + {buffer - 1:.0%} headroom" if buffer > 1 else ""
        basis = f"{target.point_label} {kind.write(mean)}{headroom}" if buffered > now or not proposal.basis else None
        return proposal.because("part", text, amount=max(now, buffered), basis=basis)

    return piece


def at_least(kind: Kind, name: str, use: float | None) -> Piece:
    """Cover a use that was measured or calibrated (cores or bytes); a must."""
    amount = None if use is None else kind.amount(use)

    def piece(proposal: Proposal) -> Proposal:
        if amount is None:
            return proposal
        text, now = f"{name} {kind.write(amount)}", proposal.amount or 0.0
        return proposal.because(
            "part",
            text,
            amount=max(now, amount),
            must=max(proposal.must, amount),
            basis=text if amount > now or not proposal.basis else None,
        )

    return piece


def sized(kind: Kind) -> Piece:
    """Fold the parts gathered so far into one sentence."""

    def piece(proposal: Proposal) -> Proposal:
        parts = [reason.text for reason in proposal.reasons if reason.code == "part"]
        largest = "the largest of: " if len(parts) > 1 else ""
        text = f"{largest}{'; '.join(parts)} -> {kind.write(kind.round_up(proposal.amount or 0.0))}"
        others = tuple(reason for reason in proposal.reasons if reason.code != "part")
        return replace(proposal, reasons=others).remarked("sized", text)

    return piece


def raise_limit_bound(target: TargetDemand, kind: Kind, settings: PolicySettings) -> Piece:
    """Limit-bound use is not demand: go above it, so that the next run can see the rest."""

    def piece(proposal: Proposal) -> Proposal:
        if not target.is_limit_bound:
            return proposal
        seen, now = kind.amount(max(target.bound, target.peak)), proposal.amount or 0.0
        raised = seen * settings.limit_bound_factor
        text = (
            f"limit-bound: real {kind.word} demand may be higher than the {kind.write(seen)} that could be seen; "
            f"{kind.write(seen)} x {settings.limit_bound_factor:g} = {kind.write(raised)}"
        )
        return proposal.because(
            "raised-limit-bound",
            text,
            amount=max(now, raised),
            must=max(proposal.must, seen),
            basis=f"{proposal.basis}; limit-bound: at least {kind.write(kind.round_up(raised))}",
        )

    return piece


def bump_oom(demand: Demand, settings: PolicySettings) -> Piece:
    """After an OOM kill, at least max(peak + bump, peak x factor)."""

    def piece(proposal: Proposal) -> Proposal:
        if demand.oom_kills < 1 or demand.memory is None:
            return proposal
        peak = max(demand.oom_peak_bytes or 0.0, demand.memory.peak)
        bumped, now = max(peak + settings.oom_bump_bytes, peak * settings.oom_bump_factor), proposal.amount or 0.0
        at = MEMORY.write(peak)
        kills = f"{demand.oom_kills} OOM kill{'s' if demand.oom_kills > 1 else ''} at {at}"
        text = (
            f"{kills}: at least max({at} + {MEMORY.write(settings.oom_bump_bytes)}, {at} x "
            f"{settings.oom_bump_factor:g}) = {MEMORY.write(bumped)}"
        )
        basis = f"{kills}: raised to {MEMORY.write(MEMORY.round_up(bumped))}" if bumped > now else None
        return proposal.because("oom-bump", text, amount=max(now, bumped), must=max(proposal.must, bumped), basis=basis)

    return piece


def no_number(word: str, demand: Demand) -> Reason:
    """Why there is no number, in the demand's own words where it has some."""
    texts = "; ".join(reason.text for reason in demand.reasons)
    return Reason("no-number", texts or f"too little data to size {word}")


def _no_need(word: str, demand: Demand) -> Proposal:
    why = no_number(word, demand)
    return Proposal(None, reasons=(why,), outcome=f"no recommendation: {why.text}")
