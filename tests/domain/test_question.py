"""What is asked of a model, and when a load is part of it."""

from __future__ import annotations

import pytest

from mora.domain import Question, Slo


def test_a_question_without_words_has_the_usual_slo_and_no_load() -> None:
    question = Question()
    assert question.slo == Slo(p95_seconds=0.3, error_ratio=0.01)
    assert (question.min_replicas, question.max_replicas, question.target_utilisation) == (1, None, 0.7)
    assert not question.has_load


@pytest.mark.parametrize("half", [{"users": 0}, {"users": 40}, {"scenario": "browsing"}])
def test_half_a_load_is_a_load(half: dict[str, int | str]) -> None:
    assert Question(**half).has_load  # type: ignore[arg-type]  # each key has its own type
