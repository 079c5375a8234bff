"""The suite of outputs: a small output passes, and each way to break the contract fails the test that names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from mora.domain import Recommendation
from mora.errors import BadInput
from mora.seams import Output
from mora.testing import OutputContract
from mora.testing.outputs import assert_is_clean_text

NUMBERS = count()
Suite = Callable[[OutputContract, Output], None]


def line(advice: Recommendation) -> str:
    return f"{advice.workload.name}: {advice.main.cpu_request.value or advice.main.cpu_request.reasons[0].text}\n"


def lines(recommendations: Sequence[Recommendation], settings: Any = None) -> str:
    return "".join(line(advice) for advice in recommendations)


def numbers_only(recommendations: Sequence[Recommendation], settings: Any = None) -> str:
    known = [advice for advice in recommendations if advice.main.cpu_request.value is not None]
    if not known:
        raise BadInput("There is no number: 12 samples, 60 are needed.")
    return lines(recommendations)


def endless(recommendations: Sequence[Recommendation], settings: Any = None) -> str:
    return lines(recommendations).rstrip()


@pytest.mark.parametrize("made", [lines, numbers_only])
class TestLines(OutputContract):
    @pytest.fixture
    def output(self, made: Output) -> Output:
        return made


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (
            lambda given, settings=None: lines(given).rstrip(),
            OutputContract.test_it_is_clean_text_with_and_without_settings,
        ),
        (lambda given, settings=None: f"{next(NUMBERS)}\n", OutputContract.test_it_is_the_same_each_time),
        (lambda given, settings=None: lines(given[:1]), OutputContract.test_it_takes_many_and_names_each_workload),
        (lambda given, settings=None: "cart\n", OutputContract.test_without_a_number_it_gives_the_reason),
    ],
)
def test_an_output_that_breaks_the_contract_fails_the_test_that_names_it(broken: Output, test: Suite) -> None:
    with pytest.raises(AssertionError):
        test(OutputContract(), broken)


@pytest.mark.parametrize("text", [None, "no end", "two ends\n\n", "space at the end \n", "value: nan\n"])
def test_text_that_is_not_clean_is_refused(text: object) -> None:
    with pytest.raises(AssertionError):
        assert_is_clean_text(text)


def test_a_word_that_begins_like_nan_is_clean() -> None:
    assert_is_clean_text("nanoseconds of finance\n")
