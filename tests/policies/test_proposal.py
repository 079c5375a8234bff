"""A number on its way: what each piece adds, when it passes through untouched, and how it is summed up."""

from __future__ import annotations

import pytest

from mora.domain import Reason
from mora.errors import BadInput
from mora.policies.proposal import CPU, MEMORY, Kind, Proposal, compose, one_line
from mora.quantities import MIB


def raised(proposal: Proposal) -> Proposal:
    return proposal.because("raised", "twice as much", amount=2 * (proposal.amount or 0.0), basis="doubled")


def refused(proposal: Proposal) -> Proposal:
    return proposal.because("refused", "none at all", amount=None, outcome="no recommendation: none at all")


def test_pieces_apply_from_left_to_right_and_each_leaves_its_reason() -> None:
    twice = compose(raised, raised)(Proposal(1.5, must=1.0))
    assert (twice.amount, twice.must, twice.basis) == (6.0, 1.0, "doubled")
    assert twice.reasons == (Reason("raised", "twice as much"),) * 2


def test_where_there_is_no_amount_any_more_the_later_pieces_do_nothing() -> None:
    none = compose(refused, raised)(Proposal(1.0))
    assert none.amount is None
    assert [reason.code for reason in none.reasons] == ["refused"]


def test_a_remark_changes_no_number() -> None:
    before = Proposal(1.0, 0.5, basis="a basis", outcome="an outcome")
    after = before.remarked("why", "because")
    assert (after.amount, after.must, after.summary) == (1.0, 0.5, before.summary)
    assert after.reasons == (Reason("why", "because"),)


@pytest.mark.parametrize(
    ("outcome", "summary"),
    [
        ("", "upper bound 110m"),
        ("lowered to the cap of 100m", "upper bound 110m; lowered to the cap of 100m"),
        ("unchanged: too small a cut", "unchanged: too small a cut"),
        ("no recommendation: the cap is too low", "no recommendation: the cap is too low"),
    ],
)
def test_the_outcome_replaces_the_basis_where_that_decides_nothing(outcome: str, summary: str) -> None:
    assert Proposal(100.0, basis="upper bound 110m", outcome=outcome).summary == summary


def test_a_summary_is_one_line_of_at_most_a_hundred_characters_and_its_end_stays() -> None:
    assert one_line("two\nlines", "", "and  more") == "two lines; and more"
    assert one_line("x" * 80, "lowered to the cap of 100m") == "lowered to the cap of 100m"
    assert len(one_line("many words " * 20)) <= 100


@pytest.mark.parametrize(
    ("kind", "use", "amount", "rounded", "written"),
    [(CPU, 0.1301, 130.1, 131, "130.1m"), (MEMORY, 1.5 * MIB + 1, 1.5 * MIB + 1, 2 * MIB, "1.5Mi")],
)
def test_each_resource_has_its_unit_its_rounding_and_its_text(
    kind: Kind, use: float, amount: float, rounded: int, written: str
) -> None:
    assert kind.amount(use) == pytest.approx(amount)
    assert kind.round_up(kind.amount(use)) == rounded
    assert kind.write(kind.amount(use)) == written


@pytest.mark.parametrize("use", [-0.1, float("nan"), float("inf")])
def test_a_use_that_cannot_be_is_refused(use: float) -> None:
    with pytest.raises(BadInput, match="A CPU demand must be a finite number of at least 0"):
        CPU.amount(use)
