"""mora drift, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from mora.model import ServiceModel
from mora.model.catalogue import model_folder
from tests import running
from tests.drift import making
from tests.drift.conftest import model
from tests.pipeline.test_drifting import put

__all__ = ["model"]


def test_a_drift_is_named_and_ends_with_3_where_that_is_asked(tmp_path: Path, model: ServiceModel) -> None:
    model.save(model_folder(tmp_path / "models", "frontend"))
    put(tmp_path, making.history("level"))
    done = running.mora("drift", "frontend", "--fail-on-drift", "-o", "json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["services"][0]["has_drifted"] is True


def test_nothing_to_look_at_and_wrong_options_are_errors(tmp_path: Path) -> None:
    none = running.mora("drift", cwd=tmp_path)
    assert none.returncode == 1
    assert "There is no model in models." in none.stderr
    wrong = running.mora("drift", "frontend", "-o", "png", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "Known: table, json, html." in wrong.stderr
