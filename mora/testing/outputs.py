"""The contract of an output."""

from __future__ import annotations

import pytest

from mora.errors import MoraError
from mora.outputs import OutputSettings
from mora.seams import Output
from mora.testing import examples


class OutputContract:
    """Inherit it and fill in the fixture `output`."""

    @pytest.fixture
    def output(self) -> Output:
        """The output that is tested."""
        raise NotImplementedError("Fill in the fixture `output`: return the output that is tested.")

    def test_it_is_clean_text_with_and_without_settings(self, output: Output) -> None:
        """It ends its last line once, no line ends in a space, and no number is "nan"."""
        known = examples.recommendations()[:1]
        for text in (output(known), output(known, OutputSettings())):
            assert_is_clean_text(text)

    def test_it_is_the_same_each_time(self, output: Output) -> None:
        """Whatever sequence the recommendations come in."""
        known = examples.recommendations()[:1]
        assert output(known) == output(tuple(known))

    def test_it_takes_many_and_names_each_workload(self, output: Output) -> None:
        """Those without a number, too: nothing is dropped silently."""
        both = examples.recommendations()
        text = output(both)
        assert_is_clean_text(text)
        assert all(advice.workload.name in text for advice in both)

    def test_without_a_number_it_gives_the_reason(self, output: Output) -> None:
        """As text, or as a MoraError where it is meant for a program that takes numbers only."""
        try:
            text = output(examples.recommendations()[1:])
        except MoraError as refusal:
            text = str(refusal)
        assert "12 samples, 60 are needed" in " ".join(text.split())


def assert_is_clean_text(text: object) -> None:
    """Text as every output gives it."""
    assert isinstance(text, str)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "nan" not in text.lower().split()
    assert all(line == line.rstrip() for line in text.splitlines())
