"""The answer as text: what each service should be, what was predicted and measured, and what it hangs on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from mora.columns import columns
from mora.domain import Allocation
from mora.optimize.prices import Sensitivity
from mora.optimize.prove import CLOSE, Proof
from mora.optimize.solve import Chosen, LoadClass, Solution
from mora.quantities import counted, readable_bytes

_WIDTH = 100
_NO_IDLE_CPU = (
    "The sizes count on no idle CPU: limits equal requests. By default `mora recommend` counts on it, so it may "
    "reserve less."
)


def describe(
    solution: Solution,
    proofs: Sequence[Proof],
    sensitivity: Sensitivity,
    *,
    now: Mapping[str, Allocation],
    runs: int,
) -> str:
    """The whole answer. now: service -> how it stands. runs: how many experiments it rests on."""
    lines = [*_table(solution, now), ""]
    lines += [*_classes(solution, proofs), ""]
    for text in (*_hangs_on(solution, sensitivity), _NO_IDLE_CPU, *_proof(solution, proofs, runs)):
        lines += textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def _table(solution: Solution, now: Mapping[str, Allocation]) -> list[str]:
    heads = ["SERVICE", "REPLICAS", "CPU (m)", "CORES", "MEMORY", "IN USE"]
    heads += [f"SLO OF {one.scenario.upper()}" for one in solution.classes] + ["NEXT CORE SAVED"]
    rows = [heads]
    for one in sorted(solution.chosen, key=lambda one: -one.option.total_millicores):
        was = now.get(one.service, Allocation())
        request = was.main.resources.cpu_request_millicores if was.main is not None else None
        rows.append(
            [
                one.service,
                _change(was.replicas, one.option.replicas),
                _change(request, one.option.millicores),
                f"{one.option.total_millicores / 1000:.2f}",
                readable_bytes(one.option.memory_bytes),
                f"{one.utilisation:.0%}",
                *_shares(solution, one),
                "-" if one.next_saved is None else f"+{_rounded(one.next_saved)} ms",
            ]
        )
    total = [
        "together",
        str(sum(one.option.replicas for one in solution.chosen)),
        "",
        f"{solution.millicores / 1000:.2f}",
    ]
    rows.append([*total, readable_bytes(solution.memory_bytes), "", *("" for _ in solution.classes), ""])
    is_right = [False, *(True for _ in heads[1:])]
    lines: list[str] = columns(rows, is_right=is_right)
    # What is chosen is that of the main containers: sidecars go on reserving what they do now.
    reserved = sum(
        (was.replicas or 0) * (was.main.resources.cpu_request_millicores or 0) for was in now.values() if was.main
    )
    if reserved:
        lines.append("")
        lines.append(
            f"Reserves {solution.millicores / 1000:.2f} cores; now it is {reserved / 1000:.2f} "
            f"({solution.millicores / reserved - 1:+.0%})."
        )
    return lines


def _shares(solution: Solution, one: Chosen) -> list[str]:
    """What a service takes of each class's SLO."""
    return [
        "-" if not share else f"{delay / of.slo.p95_seconds:.0%}"
        for of, share, delay in zip(solution.classes, solution.shares, one.delay_seconds, strict=True)
    ]


def _change(before: int | None, after: int) -> str:
    return str(after) if before is None or before == after else f"{before} -> {after}"


def _rounded(milliseconds: float) -> str:
    return f"{float(f'{milliseconds:.2g}'):,.0f}"


def _classes(solution: Solution, proofs: Sequence[Proof]) -> list[str]:
    proof = _proof_of(solution, proofs)
    rows = [["CLASS, FIRST FIRST", "LOAD", "SERVED", "SLO P95", "PREDICTED", "MEASURED", "ERRORS"]]
    for number, one in enumerate(solution.classes):
        share = solution.shares[number]
        measured = None if proof is None else proof.measured.p95_seconds.get(one.scenario)
        errors = None if proof is None else proof.measured.error_ratio.get(one.scenario)
        rows.append(
            [
                one.scenario,
                f"{one.users} {'req/s' if one.is_rate else 'users'}",
                "all" if share >= 1 else f"{round(one.users * share)} ({share:.0%})",
                _ms(one.slo.p95_seconds),
                _ms(solution.p95_seconds[number]) if share else "-",
                "-" if measured is None else _ms(measured),
                "-" if errors is None else f"{errors:.2%}",
            ]
        )
    found: list[str] = columns(rows, is_right=[False, *(True for _ in rows[0][1:])])
    return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _proof_of(solution: Solution, proofs: Sequence[Proof]) -> Proof | None:
    return next((proof for proof in reversed(proofs) if proof.solution is solution), None)


def _hangs_on(solution: Solution, sensitivity: Sensitivity) -> list[str]:
    lines: list[str] = []
    for one, share in zip(solution.classes, solution.shares, strict=True):
        if share < 1:
            left = one.users - round(one.users * share)
            lines.append(f"Not served: {left} of {one.words()}.")
    if sensitivity.lacking_millicores:
        lines.append(f"To serve all, {sensitivity.lacking_millicores / 1000:.2f} cores are missing.")
    if sensitivity.binding is None:
        lines.append("No single constraint binds: what was measured of each service is as small as it gets.")
    else:
        gain = ""
        if sensitivity.serves_more:
            gain = f"; {sensitivity.relaxed} lets more users be served"
        elif sensitivity.freed_millicores > 0:
            gain = f"; {sensitivity.relaxed} frees {sensitivity.freed_millicores / 1000:.2f} cores"
        lines.append(f"Binding constraint: {sensitivity.binding}{gain}.")
    lines.append(f"The price of the SLO: {'; '.join(_prices(solution.classes, sensitivity))}.")
    return lines


def _prices(classes: Sequence[LoadClass], sensitivity: Sensitivity) -> list[str]:
    found: list[str] = []
    for price in sensitivity.prices:
        bounds = sorted({round(one.slo.p95_seconds * price.factor * 1000) for one in classes})
        at = " and ".join(f"{bound} ms" for bound in bounds)
        found.append(f"{at} {'cannot be kept' if price.millicores is None else f'{price.millicores / 1000:.2f} cores'}")
    return found


def _proof(solution: Solution, proofs: Sequence[Proof], runs: int) -> list[str]:
    method = "" if solution.is_exact else " The choice is that of a search, not proven to be the cheapest."
    rests = f"Based on {counted(runs, 'experiment')}.{method}"
    if not proofs:
        return [rests, "Not confirmed: the load was not driven on this allocation (--no-confirm)."]
    proof = _proof_of(solution, proofs)
    tried = counted(len(proofs), "confirmation")
    if proof is not None and proof.is_without_verdict:
        why = "; ".join(proof.measured.contended)
        return [rests, f"No verdict: the machine was busy while the load was driven on this allocation ({why})."]
    if proof is None or not proof.kept:
        return [
            rests,
            f"NOT confirmed: in {tried} this load broke its SLO. Do not apply it; ask for a larger margin (--margin).",
        ]
    rests = " ".join([rests, *proof.measured.remarks])
    errors = [proof.error(number) for number in range(len(solution.classes)) if solution.shares[number]]
    worst = max((abs(error) for error in errors if error is not None), default=0.0)
    close = f"predicted within {worst:.0%}" + ("" if worst <= CLOSE else ", so treat predictions as rough")
    return [rests, f"Confirmed: driven with limits equal to requests, every SLO was kept ({tried}, {close})."]
