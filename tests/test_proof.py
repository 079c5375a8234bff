"""The proof that ends the demo: it hides no failure, and claims nothing that a busy machine may have caused."""

from __future__ import annotations

import re

import pytest

from mora.domain import Load, Slo
from mora.proof import Figures, Proof, Verdict, describe_proof, describe_verdict
from mora.quantities import MIB

Runs = tuple[tuple[str, ...], ...]
QUIET, BUSY = (), ("Locust was 90 ms late, of a p95 of 100 ms", "the hypervisor took 9% of the CPU")
WORSE = ", so these figures are worse than on a quiet machine."


def figures(
    *,
    p95_seconds: float = 0.1,
    error_ratio: float = 0.0,
    oom_kills: int = 0,
    reserved: tuple[int, int] = (200, 64 * MIB),
) -> Figures:
    return Figures({"frontend": reserved}, {"frontend": 2}, p95_seconds, error_ratio, 0.0, oom_kills)


SHIPPED = figures(p95_seconds=1.2, oom_kills=3, reserved=(500, 512 * MIB))


def proof(after: Figures | None, *, contention: Runs = (QUIET, QUIET), why: str | None = None) -> Proof:
    return Proof(Load("checkout", 60), Slo(), SHIPPED, after, (), contention, why)


FAILURES = [
    (figures(oom_kills=1), "1 OOM kill"),
    (figures(oom_kills=2), "2 OOM kills"),
    (figures(p95_seconds=0.301), "p95 301 ms is above 300 ms"),
    (figures(error_ratio=0.02), "2.00% errors are above 1.00%"),
    (figures(reserved=(500, 512 * MIB)), "neither CPU nor memory requests are lower than before"),
]


def test_the_slo_without_an_oom_kill_at_lower_requests_is_kept() -> None:
    kept = proof(figures())
    assert kept.verdict is Verdict.KEPT
    assert describe_verdict(kept) == [
        "The recommendations kept the SLO: p95 100 ms (at most 300 ms), 0.00% errors (at most 1.00%), no OOM kill."
    ]


def test_before_and_after_stand_side_by_side_with_the_requests_of_each_replica() -> None:
    text = describe_proof(proof(figures()))
    assert "The load of 60 users of checkout on the shop as shipped and as recommended:" in text
    assert re.search(r"p95 +1200 ms +100 ms\n", text)
    assert re.search(r"frontend +2 x 250m, 256 MiB +2 x 100m, 32 MiB\n", text)


@pytest.mark.parametrize(("after", "words"), FAILURES)
def test_every_failure_on_a_quiet_machine_is_missed(after: Figures, words: str) -> None:
    missed = proof(after)
    assert missed.verdict is Verdict.MISSED
    assert describe_verdict(missed) == [f"The recommendations fell short: {words}."]


@pytest.mark.parametrize(("after", "words"), FAILURES)
def test_a_failure_on_a_busy_machine_is_no_verdict_and_says_what_to_do(after: Figures, words: str) -> None:
    busy = proof(after, contention=(QUIET, QUIET, QUIET, BUSY))
    assert busy.verdict is Verdict.NONE
    assert describe_verdict(busy) == [
        "No verdict: this machine was busy with other programs in 1 of 4 runs "
        f"(Locust was 90 ms late, of a p95 of 100 ms), and that may be why {words}.",
        "Stop the other programs and run `mora demo` again.",
    ]


def test_what_is_kept_on_a_busy_machine_is_kept_all_the_same() -> None:
    kept = proof(figures(), contention=(BUSY, BUSY))
    assert kept.verdict is Verdict.KEPT
    assert describe_verdict(kept)[1:] == [
        "This machine was busy with other programs in 2 of 2 runs (Locust was 90 ms late, of a p95 of 100 ms)" + WORSE
    ]


@pytest.mark.parametrize(
    ("contention", "cause"),
    [
        (
            (BUSY, QUIET),
            "The likely cause: this machine was busy with other programs in 1 of 2 runs "
            "(Locust was 90 ms late, of a p95 of 100 ms). Stop them and run `mora demo` again.",
        ),
        ((QUIET, QUIET), "This machine was not busy, but the shop is too slow on it for 60 users."),
    ],
)
def test_recommendations_that_are_not_applied_prove_nothing(contention: Runs, cause: str) -> None:
    none = proof(None, contention=contention, why="60 users of checkout: 1 to 3 replicas cannot keep p95 300 ms")
    assert (none.verdict, none.failures) == (Verdict.NONE, ())
    assert describe_verdict(none) == [
        "No verdict: the recommendations were not applied. "
        "60 users of checkout: 1 to 3 replicas cannot keep p95 300 ms.",
        cause,
    ]
    assert "AFTER" not in describe_proof(none)
