"""Who takes part, as a person writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mora import registry
from mora.contest import evaluate
from mora.contest.entrants import entrant, entrants, names
from mora.errors import BadInput
from tests import plugins
from tests.contest.making import Constant, wave

ROOT = Path(__file__).resolve().parents[2]


def test_all_registered_forecasters_take_part_by_default() -> None:
    assert [one.text for one in entrants()] == [*registry.names("forecasters"), "trained"]
    assert entrant("trained").is_contestant
    # What costs as much as its parts again takes part where it is named.
    assert set(names()) - {one.text for one in entrants()} == {"blend"}
    assert [(one.text, one.is_contestant) for one in entrants(["blend"])] == [("naive", False), ("blend", True)]


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(BadInput, match="There is no model 'oracle'") as wrong:
        entrant("oracle")
    assert "prophet" in str(wrong.value.hint)


def test_the_yardstick_is_always_among_them_and_no_one_is_twice() -> None:
    assert [one.text for one in entrants(["prophet", "prophet"])] == ["naive", "prophet"]
    assert [one.text for one in entrants({"mine": Constant(1.0)})] == ["naive", "mine"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    plugins.forget(tmp_path)


def test_a_forecaster_of_another_package_takes_part_by_its_entry_point(folder: Path) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    source = re.findall(r"```python forecasters\.median\n(.*?)```", text, re.DOTALL)[0]
    plugins.install(folder, "my-package", {"forecasters.median": "my_package:MedianForecaster"}, source)
    assert "median" in names()
    contest = evaluate(wave(8.0), ["median"], [3600.0])[0]
    assert list(contest.answers) == ["naive", "median"]
    assert np.isfinite(contest.answers["median"].mean).all()
    assert contest.answers["median"].failures == ()
