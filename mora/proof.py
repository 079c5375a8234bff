"""The proof that ends `mora demo`: the same load before and after, the verdict, and both as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mora.columns import columns
from mora.domain import Load, Recommendation, Slo
from mora.quantities import readable_bytes


class Verdict(StrEnum):
    """What the demo may claim after the second run of the load."""

    KEPT = "kept"
    """The recommendations kept the SLO, without OOM kills, and reserve less."""
    MISSED = "missed"
    """They did not, and nothing else that this machine did explains it."""
    NONE = "no verdict"
    """Nothing was proven: the recommendations were not applied, or the machine was too busy to judge them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the shop reserves, and what one run of the load measured.

    reserved_by_service: service -> (millicores, bytes): requests times replicas. throttled_ratio: share of the CFS
    periods of the most throttled service.
    """

    reserved_by_service: Mapping[str, tuple[int, int]]
    replicas: Mapping[str, int]
    p95_seconds: float
    error_ratio: float
    throttled_ratio: float
    oom_kills: int

    @property
    def reserved_millicores(self) -> int:
        """CPU requests of all pods."""
        return sum(cpu for cpu, _ in self.reserved_by_service.values())

    @property
    def reserved_bytes(self) -> int:
        """Memory requests of all pods."""
        return sum(memory for _, memory in self.reserved_by_service.values())


@dataclass(frozen=True, slots=True)
class Proof:
    """The same load on the shop as shipped and as recommended.

    after: None where the recommendations were not applied; `not_applied` then says why. contention: for every run of
    the load, what else this machine did that could have changed its figures; empty where nothing could.
    """

    load: Load
    slo: Slo
    before: Figures
    after: Figures | None
    recommendations: tuple[Recommendation, ...]
    contention: tuple[tuple[str, ...], ...] = ()
    not_applied: str | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """Where the recommendations fell short; empty where they did not, or were not applied."""
        before, after, failed = self.before, self.after, []
        if after is None:
            return ()
        if after.oom_kills:
            failed.append(f"{after.oom_kills} OOM kill{'s' * (after.oom_kills > 1)}")
        if after.p95_seconds > self.slo.p95_seconds:
            failed.append(f"p95 {_milliseconds(after.p95_seconds)} is above {_milliseconds(self.slo.p95_seconds)}")
        if after.error_ratio > self.slo.error_ratio:
            failed.append(f"{after.error_ratio:.2%} errors are above {self.slo.error_ratio:.2%}")
        if after.reserved_millicores >= before.reserved_millicores and after.reserved_bytes >= before.reserved_bytes:
            failed.append("neither CPU nor memory requests are lower than before")
        return tuple(failed)

    @property
    def busy(self) -> tuple[str, ...]:
        """For every run during which this machine was too busy to judge response times, how that shows."""
        return tuple(reasons[0] for reasons in self.contention if reasons)

    @property
    def verdict(self) -> Verdict:
        """Kept, missed, or none. A failure on a busy machine proves nothing; success on one does."""
        if self.after is None or (self.failures and self.busy):
            return Verdict.NONE
        return Verdict.MISSED if self.failures else Verdict.KEPT


def describe_proof(proof: Proof) -> str:
    """Before and after side by side, the requests of every service, and the verdict."""
    before, after = proof.before, proof.after
    runs = [before] if after is None else [before, after]
    titles = ["BEFORE"] if after is None else ["BEFORE", "AFTER"]
    lines = [
        f"The load of {proof.load.users} users of {proof.load.scenario} on the shop as shipped"
        f"{'' if after is None else ' and as recommended'}:",
        "",
        *_figures(
            [
                ("", *titles),
                ("CPU requests, cores", *(f"{run.reserved_millicores / 1000:.2f}" for run in runs)),
                ("memory requests", *(readable_bytes(run.reserved_bytes) for run in runs)),
                ("replicas", *(str(sum(run.replicas.values())) for run in runs)),
                ("p95", *(_milliseconds(run.p95_seconds) for run in runs)),
                ("errors", *(f"{run.error_ratio:.2%}" for run in runs)),
                ("throttled CPU periods", *(f"{run.throttled_ratio:.1%}" for run in runs)),
                ("OOM kills", *(str(run.oom_kills) for run in runs)),
            ]
        ),
        "",
        *_figures(
            [
                ("replicas and requests", *titles),
                *((service, *(_service(run, service) for run in runs)) for service in before.replicas),
            ]
        ),
        "",
        *describe_verdict(proof),
    ]
    return "\n".join(lines)


def describe_verdict(proof: Proof) -> list[str]:
    """What the figures prove, in a few lines; and what to do where they prove nothing."""
    slo, after = proof.slo, proof.after
    busy = _busy(proof)
    if after is None:
        return [
            f"No verdict: the recommendations were not applied. {_sentence(proof.not_applied or '')}",
            f"The likely cause: {busy}. Stop them and run `mora demo` again."
            if busy
            else f"This machine was not busy, but the shop is too slow on it for {proof.load.users} users.",
        ]
    if proof.verdict is Verdict.KEPT:
        kept = (
            f"The recommendations kept the SLO: p95 {_milliseconds(after.p95_seconds)} (at most "
            f"{_milliseconds(slo.p95_seconds)}), {after.error_ratio:.2%} errors (at most {slo.error_ratio:.2%}), "
            "no OOM kill."
        )
        return [kept, _sentence(f"{busy}, so these figures are worse than on a quiet machine")] if busy else [kept]
    failures = "; ".join(proof.failures)
    if proof.verdict is Verdict.NONE:
        return [
            f"No verdict: {busy}, and that may be why {failures}.",
            "Stop the other programs and run `mora demo` again.",
        ]
    return [f"The recommendations fell short: {failures}."]


def _busy(proof: Proof) -> str:
    """How busy other programs kept this machine; empty where they did not."""
    if not proof.busy:
        return ""
    return (
        f"this machine was busy with other programs in {len(proof.busy)} of {len(proof.contention)} runs "
        f"({proof.busy[-1]})"
    )


def _sentence(text: str) -> str:
    """A reason as a sentence: a capital letter first, a full stop last."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _service(figures: Figures, service: str) -> str:
    """Replicas, and the requests of each."""
    (cpu, memory), replicas = figures.reserved_by_service[service], figures.replicas[service]
    each = max(replicas, 1)
    return f"{replicas} x {cpu // each}m, {readable_bytes(memory // each)}"


def _figures(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in columns(rows, gap=3)]
