"""The record of a test: read as it was written, and believed only where it can be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.domain import Target
from mora.errors import BadModel
from mora.files import write_files
from mora.model.trial_record import Ended, Trial, Window, as_file, read_trial

AT = datetime(2026, 10, 1, tzinfo=UTC)


def scored() -> Trial:
    windows = tuple(
        Window(3600, 1.79e9 + 3600 * hour, target, 0.1 + hour, 0.1, 0.1 + hour / 3)
        for hour in range(3)
        for target in (Target.CPU, Target.MEMORY)
    )
    scales = {3600: {Target.CPU: 0.02, Target.MEMORY: 1e6}}
    return Trial("a" * 64, "b" * 64, AT, 1.79e9, scales, windows=windows)


def test_a_test_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = scored()
    ended = replace(found, ended=Ended(AT, "stopped", "enough"))
    for one in (found, ended):
        write_files([as_file(tmp_path, one)])
        assert read_trial(tmp_path) == one
    assert read_trial(tmp_path / "other") is None


def test_a_forged_record_is_refused(tmp_path: Path) -> None:
    write_files([as_file(tmp_path, scored())])
    stored = json.loads((tmp_path / "ab.json").read_text())
    window = stored["windows"][0]
    for wrong in (
        {"champion": "../../etc"},
        {"alpha": 1e9},
        {"windows": [{**window, "truth": -1}]},
        {"windows": [{**window, "horizon_seconds": 7}]},
        {"scales": {"3600": {"cpu": 0}}},
    ):
        (tmp_path / "ab.json").write_text(json.dumps({**stored, **wrong}))
        with pytest.raises(BadModel, match="start again: mora ab start"):
            read_trial(tmp_path)
