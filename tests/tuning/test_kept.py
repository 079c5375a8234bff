"""What a search found is read by the next training, whole or not at all, and never believed unchecked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mora.errors import BadModel, MoraError
from mora.tuning.kept import keep, kept, settings_with, study_file
from mora.tuning.search import Found


def found(name: str, options: dict[str, float] | None, **more: Any) -> Found:
    return Found(name, options, (1.0, 0.5), None if options is None else (1.0, 0.6), 10, 2, 1, **more)


def test_what_is_found_is_there_for_the_next_training_and_stays_until_it_is_searched_again(tmp_path: Path) -> None:
    keep(tmp_path, "cart", "shop", [found("factor", {"factor": 1.1}), found("right", None)])
    again = kept(tmp_path, "cart", "shop")
    assert again.options == {"factor": {"factor": 1.1}}
    assert again.texts["factor"].startswith("10 trials of factor (2 pruned, 1 failed): factor 1.1; on windows that")
    assert settings_with("factor", again.options["factor"]).factor == 1.1
    keep(tmp_path, "cart", "shop", [found("right", {"factor": 0.9}), found("factor", None, failure="it broke")])
    assert kept(tmp_path, "cart", "shop").options == {"factor": {"factor": 1.1}, "right": {"factor": 0.9}}
    keep(tmp_path, "cart", "shop", [found("factor", None)])
    assert kept(tmp_path, "cart", "shop").options == {"right": {"factor": 0.9}}
    assert kept(tmp_path, "cart", "default").options == {}
    assert study_file(tmp_path, "cart", "shop").parent == tmp_path / ".tuning" / "shop"


@pytest.mark.parametrize(
    ("searched", "why"),
    [
        ({"factor": {"options": {"factor": 99.0}, "text": "", "found": {}}}, "not those of a search"),
        ({"factor": {"options": {"path": 1.0}, "text": "", "found": {}}}, "not those of a search"),
        ({"naive": {"options": {"factor": 1.0}, "text": "", "found": {}}}, "not those of a search"),
        ({"factor": {"options": {"factor": "1"}, "text": "", "found": {}}}, "is text, not a number"),
        ({"factor": {"options": {}}}, "is missing"),
    ],
)
def test_settings_that_no_search_found_are_refused(tmp_path: Path, searched: dict[str, Any], why: str) -> None:
    path = study_file(tmp_path, "cart", "default").with_suffix(".json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema_version": 1, "searched": searched}), encoding="utf-8")
    with pytest.raises(BadModel, match=why) as raised:
        kept(tmp_path, "cart", "default")
    assert "Delete it to train with the default settings" in str(raised.value.hint)


def test_a_torn_file_is_refused_and_options_of_a_package_that_is_gone_are_not(tmp_path: Path) -> None:
    path = study_file(tmp_path, "cart", "default").with_suffix(".json")
    keep(tmp_path, "cart", "default", [found("gone", {"knob": 1.0})])
    assert kept(tmp_path, "cart", "default").options == {"gone": {"knob": 1.0}}
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BadModel, match="this is not JSON"):
        kept(tmp_path, "cart", "default")


def test_a_name_that_is_no_service_reaches_no_path(tmp_path: Path) -> None:
    with pytest.raises(MoraError):
        study_file(tmp_path, "../cart", "default")
