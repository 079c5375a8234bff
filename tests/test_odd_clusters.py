"""Every case of an odd cluster gets the answer that is right (experiments/odd_clusters)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.odd_clusters.case import KINDS, Case, load
from experiments.odd_clusters.running import Posed, posed, together
from tests.running import mora

CASES = load()


@pytest.mark.parametrize("cases", together(CASES), ids=lambda cases: cases[0].name if cases[0].alone else cases[0].kind)
def test_the_answer_is_right(cases: list[Case], tmp_path: Path, subtests: pytest.Subtests) -> None:
    with posed(cases, tmp_path / "prometheus") as inputs:
        for one in inputs:
            with subtests.test(one.case.name):
                judge(one, tmp_path)


def judge(one: Posed, folder: Path) -> None:
    def run(arguments: Sequence[str]) -> tuple[int, str, str]:
        done = mora(*arguments, cwd=folder, COLUMNS="160", KUBECONFIG=str(folder / "none"))
        return done.returncode, done.stdout, done.stderr

    assert one.judge(run).wrong == (), one.case.story


def test_there_are_cases_of_every_kind_and_each_says_where_it_is_from() -> None:
    assert {case.kind for case in CASES} == set(KINDS)
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    for case in CASES:
        assert case.story
        assert case.source == "own" or "#" in case.source
