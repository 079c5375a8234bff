"""A number on its way through the pieces of a policy, and what differs between CPU and memory."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

from mora.domain import Reason, Target
from mora.errors import BadInput
from mora.quantities import MIB, cores_to_millicores, format_cpu, memory_request

_LONGEST_SUMMARY = 100


@dataclass(frozen=True, slots=True)
class Proposal:
    """A number on its way: millicores or bytes, exact until it is rounded; None where there is none.

    must: what it may never fall below, whatever the settings say. reasons: what made it what it is. basis: what decides
    the need, in short. outcome: what the settings made of that, in short; empty where they left it as it is. goal: the
    amount after the last of several changes, where the step limit makes `amount` only the first.
    """

    amount: float | None
    must: float = 0.0
    reasons: tuple[Reason, ...] = ()
    basis: str = ""
    outcome: str = ""
    goal: float | None = None

    def because(
        self,
        code: str,
        text: str,
        *,
        amount: float | None,
        must: float | None = None,
        basis: str | None = None,
        outcome: str | None = None,
        goal: float | None = None,
    ) -> Proposal:
        """The same proposal with another amount, and one reason more. must, basis, outcome: stay where not given."""
        return Proposal(
            amount,
            self.must if must is None else must,
            (*self.reasons, Reason(code, text)),
            self.basis if basis is None else basis,
            self.outcome if outcome is None else outcome,
            goal,
        )

    def remarked(self, code: str, text: str) -> Proposal:
        """The same proposal with one reason more."""
        return replace(self, reasons=(*self.reasons, Reason(code, text)))

    @property
    def summary(self) -> str:
        """One line: what decides the number."""
        if self.outcome.startswith(("unchanged", "no recommendation")):
            return one_line(self.outcome)
        return one_line(self.basis, self.outcome)


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


CPU = Kind(Target.CPU, "CPU", 1000.0, lambda m: cores_to_millicores(m / 1000), lambda m: write_millicores(m))
MEMORY = Kind(Target.MEMORY, "memory", 1.0, memory_request, lambda b: f"{_short(b / MIB)}Mi")


def one_line(*parts: str) -> str:
    """The parts as one line of at most 100 characters; the first ones go where all are too long.

    >>> one_line("upper bound 110m", "", "lowered to the cap of 100m")
    'upper bound 110m; lowered to the cap of 100m'
    >>> one_line("a long story; " * 20)[-24:]
    'a long story; a long ...'
    """
    kept = [" ".join(part.split()) for part in parts if part]
    while len(kept) > 1 and len("; ".join(kept)) > _LONGEST_SUMMARY:
        kept.pop(0)
    return textwrap.shorten("; ".join(kept), _LONGEST_SUMMARY, placeholder=" ...")


def write_millicores(millicores: float) -> str:
    """Millicores for a person, who shall be able to redo the arithmetic.

    >>> write_millicores(120), write_millicores(126.83), write_millicores(2000)
    ('120m', '126.8m', '2')
    """
    return format_cpu(int(millicores)) if millicores == int(millicores) else f"{_short(millicores)}m"


def _short(value: float) -> str:
    """One decimal below 1000, whole above.

    >>> _short(3.14159), _short(126.8), _short(4.0), _short(1536.4)
    ('3.1', '126.8', '4', '1536')
    """
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 1000 else f"{value:.0f}"
