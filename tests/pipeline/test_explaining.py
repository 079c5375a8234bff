"""From a model's folder and its CSVs to what its forecasts are made of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora import pipeline
from mora.domain import Target
from mora.errors import BadInput, BadModel
from tests import fakes_learning as fakes
from tests.model import explaining


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explaining.home_of(tmp_path_factory.mktemp("explained"), fakes.observed(days=3))


def places(home: Path) -> dict[str, Any]:
    return {"data_dir": home / "data", "models_dir": home / "models"}


def test_a_saved_model_is_explained_and_its_page_is_written(home: Path, tmp_path: Path) -> None:
    found = pipeline.explain_forecasts("deploy/frontend", horizon=timedelta(hours=1), **places(home))
    assert [one.target for one in found] == [Target.CPU, Target.MEMORY]
    assert found[0].horizon_seconds == 3600
    pipeline.write_contributions(found, tmp_path / "shap.html")
    assert "What the forecasts of default/frontend are made of" in (tmp_path / "shap.html").read_text("utf-8")
    assert pipeline.describe_contributions(found).startswith("default/frontend, CPU over the 1h from ")


def test_another_kind_or_no_model_is_an_error(home: Path) -> None:
    with pytest.raises(BadInput, match="is of a Deployment, not of a StatefulSet"):
        pipeline.explain_forecasts("sts/frontend", **places(home))
    with pytest.raises(BadModel, match="There is no model of 'cart'"):
        pipeline.explain_forecasts("shop/cart", **places(home))
