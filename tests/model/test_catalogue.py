"""Where models are saved, and which there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import pipeline
from mora.errors import BadInput, BadModel


def test_a_services_name_cannot_leave_the_models_folder() -> None:
    with pytest.raises(BadInput):
        pipeline.model_folder("models", "../../etc")


def test_a_missing_model_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "cart").mkdir()
    (tmp_path / "cart" / "card.json").write_text("{}")
    (tmp_path / ".frontend.torn.new").mkdir()
    (tmp_path / ".frontend.torn.new" / "card.json").write_text("{}")
    with pytest.raises(BadModel, match="there are models of cart"):
        pipeline.load_model("frontend", models_dir=tmp_path)
