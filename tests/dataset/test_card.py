"""An experiment's JSON whose fields are not what they should be is named, with its place, and ends no run as a bug."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.dataset import read_cards, read_dataset
from mora.dataset.card import CARD
from mora.errors import BadDataset
from tests.dataset.making import make_frame, write
from tests.test_documents import JSON, misfit_of


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("quality", [], "quality is a list, not an object"),
        ("quality", {"is_complete": "yes"}, "quality.is_complete is text, not true or false"),
        ("quality", {"is_complete": True, "flags": [1]}, r"quality.flags\[0\] is a number, not text"),
        ("load_test", {"latency_p95_seconds": "fast"}, "load_test.latency_p95_seconds is text, not a number"),
        ("load_test", {"error_ratio": -1}, "load_test.error_ratio is -1, not a number from 0 to 100"),
        ("resources", {"cpu_limit_millicores": 1.5}, "resources.cpu_limit_millicores is a number, not a whole number"),
        ("resources", "none", "resources is text, not an object"),
        ("startup", {"cpu_cores": 1e6}, "startup.cpu_cores is 1000000.0, not a number from 0 to 2048"),
        ("standing_replicas", "two", "standing_replicas is text, not a whole number"),
        ("window", {"start": "2026-01-01", "end": "x", "step_seconds": 1}, "window.start is .*, not a time"),
        ("kind", 5, "kind is a number, not text"),
    ],
)
def test_a_field_of_another_kind_is_named_with_the_file(
    written: Path, tmp_path: Path, field: str, value: Any, words: str
) -> None:
    path = written.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(BadDataset, match=rf"{path.name}: {words}"):
        read_dataset("frontend", tmp_path)


def test_a_quality_of_null_is_a_card_without_one(written: Path, tmp_path: Path) -> None:
    path = written.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quality": None, "load_test": None}))
    assert len(read_dataset("frontend", tmp_path)) == 20


def test_a_card_that_is_a_pipe_a_device_or_endlessly_deep_is_refused_at_once(written: Path, tmp_path: Path) -> None:
    path = written.with_suffix(".json")
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(BadDataset, match="nested too deeply"):
        read_cards("frontend", tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadDataset, match="not a regular file"):
        read_cards("frontend", tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(BadDataset, match="not a regular file"):
        read_cards("frontend", tmp_path)
    path.unlink()
    written.unlink()
    written.symlink_to("/dev/zero")
    with pytest.raises(BadDataset, match="not a regular file"):
        read_dataset("frontend", tmp_path)


@given(st.dictionaries(st.sampled_from(["quality", "load_test", "resources", "window", "kind", "startup"]), JSON))
def test_any_fields_are_a_card_or_a_misfit(card: dict[str, Any]) -> None:
    words = misfit_of(card, CARD)
    assert words is None or words.isprintable()


def test_the_cards_that_mora_writes_fit(tmp_path: Path) -> None:
    write(tmp_path, make_frame(), quality={"is_complete": True, "flags": []}, load_test={"error_ratio": None})
    assert list(read_cards("frontend", tmp_path))
