"""The trial: what counts as a broken SLO, numbers that are wrong on purpose, a folder that is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import MoraError
from mora.inplace.trial import TrialSettings, _a_tenth, is_broken, run_trial
from mora.seams import Silent
from tests.inplace.rig import recommendation


def test_an_slo_is_broken_by_slow_answers_or_by_errors() -> None:
    assert not is_broken(0.5, 0.01)
    assert not is_broken(None, 0.0)
    assert is_broken(0.501, 0.0)
    assert is_broken(0.1, 0.02)


def test_a_number_that_is_wrong_on_purpose_is_a_tenth_without_its_evidence() -> None:
    wrong = _a_tenth(recommendation(cpu=300))
    assert wrong.main.cpu_request.value == 30
    assert wrong.main.evidence is None
    assert wrong.main.memory_request == recommendation(cpu=300).main.memory_request
    nothing = recommendation(cpu=None)
    assert _a_tenth(nothing) == nothing


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(MoraError, match="is not empty"):
        run_trial(tmp_path, TrialSettings(), reporter=Silent())
    assert (tmp_path / "report.html").read_text() == "mine"
