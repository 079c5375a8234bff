"""Numbers are asked for when they are due, and one refusal costs the others nothing but a few questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest

from mora.domain import Recommendation, Workload
from mora.errors import BadInput, ClusterError, StateUnusable
from mora.vpa.advice import Adviser
from tests.vpa.making import recommendation

FLEET = [Workload("shop", f"web-{number:03}") for number in range(100)]


class Asked:
    """An adviser's source: refuses those named, knows nothing of the missing, and counts."""

    def __init__(self, *, refused: Sequence[str] = (), missing: Sequence[str] = ()) -> None:
        self.refused, self.missing = set(refused), set(missing)
        self.questions: list[list[str]] = []

    def __call__(self, workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        self.questions.append([one.name for one in workloads])
        if bad := sorted(self.refused & {one.name for one in workloads}):
            raise BadInput(f"{bad[0]} cannot be meant.")
        return (recommendation(workload=one) for one in workloads if one.name not in self.missing)


def test_one_refused_of_a_hundred_costs_a_few_queries_and_the_others_have_their_numbers() -> None:
    asked = Asked(refused=["web-042"], missing=["web-007"])
    answers = Adviser(asked, refresh=timedelta(minutes=1)).answers(FLEET)
    assert {one.name for one, answer in answers.items() if answer.refusal} == {"web-042"}
    assert answers[Workload("shop", "web-042")].refusal == "web-042 cannot be meant."
    assert answers[Workload("shop", "web-007")].recommendation is None
    assert sum(answer.recommendation is not None for answer in answers.values()) == 98
    assert len(asked.questions) <= 15


def test_only_what_is_too_old_is_asked_for() -> None:
    asked, now = Asked(missing=["web-001"]), [0.0]
    adviser = Adviser(asked, refresh=timedelta(seconds=60), steady=lambda: now[0])
    adviser.answers(FLEET[:2])
    now[0] = 30.0
    adviser.answers(FLEET[:3])
    now[0] = 61.0
    adviser.answers(FLEET[:3])
    assert asked.questions == [["web-000", "web-001"], ["web-002"], ["web-000", "web-001"]]


def test_a_workload_that_no_vpa_targets_any_more_is_forgotten() -> None:
    asked = Asked()
    adviser = Adviser(asked, refresh=timedelta(minutes=1))
    adviser.answers(FLEET[:2])
    adviser.forget(keep=FLEET[:1])
    adviser.answers(FLEET[:2])
    assert asked.questions == [["web-000", "web-001"], ["web-001"]]


def test_a_cluster_that_does_not_answer_is_no_refusal_and_nothing_is_kept() -> None:
    def away(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        raise ClusterError("The API server cannot be reached.")

    adviser = Adviser(away, refresh=timedelta(minutes=1))
    for _ in range(2):
        with pytest.raises(ClusterError):
            adviser.answers(FLEET)


def test_a_state_that_cannot_be_used_is_no_refusal_of_any_workload() -> None:
    questions = 0

    def other_cluster(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        nonlocal questions
        questions += 1
        raise StateUnusable("The state in st is of another cluster.")

    with pytest.raises(StateUnusable):
        Adviser(other_cluster, refresh=timedelta(minutes=1)).answers(FLEET)
    assert questions == 1
