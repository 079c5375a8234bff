"""Models of MOrA 0.1.0 (schema 1) are still loaded, and give the numbers that they gave then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mora.domain import Demand
from mora.errors import BadModel
from mora.model import ServiceModel
from mora.model.folder import SCHEMA_VERSION
from mora.model.freshness import measured_allocation
from mora.model.migration import upgrade
from tests import fakes_learning as fakes

# Trained at commit 3a895e4, on the data below.
OLD = Path(__file__).parent / "schema_1"


def figures(demand: Demand, *targets: str) -> list[list[float]]:
    found = [getattr(demand, target) for target in targets]
    return [[d.point_forecast, d.bound, d.peak, d.confidence, d.windows] for d in found]


def test_a_model_of_load_experiments_answers_as_it_did() -> None:
    model = ServiceModel.load(OLD / "driven")
    frame = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), repeats=1)[0]
    demand = model.demand(frame)
    cpu, memory, replicas = figures(demand, "cpu", "memory", "replicas")
    assert cpu == [0.134817, 0.160432, 0.142249, 0.93, 0]
    assert memory == [70373000.0, 72793300.0, 70960400.0, 0.95, 0]
    assert replicas == [1.0, 1.0, 1.0, 0.98, 0]
    assert measured_allocation(model).replicas == 2
    assert list(model.forecasters) == ["prophet", "lstm", "naive"]


def test_a_model_of_a_history_answers_as_it_did() -> None:
    model = ServiceModel.load(OLD / "observed")
    cpu, memory = figures(model.demand(fakes.observed(days=4)), "cpu", "memory")
    # The model's own are the first of each; the bound of CPU and the confidences are mora/bounds' of today.
    assert cpu == pytest.approx([0.197843, 0.296909, 0.574354, 0.9158087295613916, 4])
    assert memory == pytest.approx([220285000.0, 257865000.0, 227185000.0, 0.94931665083673, 4])
    assert sorted(model.horizons) == [3600, 86_400]
    assert (list(model.horizons[3600].forecasters), list(model.horizons[86_400].forecasters)) == (["lstm"], [])


@pytest.mark.parametrize("kind", ["driven", "observed"])
def test_an_upgraded_card_has_the_names_of_the_current_schema(kind: str) -> None:
    old = json.loads((OLD / kind / "card.json").read_text())
    card = upgrade(old, old["schema_version"])
    assert card["schema_version"] == SCHEMA_VERSION
    text = json.dumps({key: value for key, value in card.items() if key != "report"}) + json.dumps(
        {key: value for key, value in card["report"].items() if key not in ("reasons", "calibrations")}
    )
    assert "hold" not in text
    assert "standing" not in text
    assert upgrade(card, SCHEMA_VERSION) == card


def test_saved_again_an_old_model_keeps_its_bytes(tmp_path: Path) -> None:
    ServiceModel.load(OLD / "driven").save(tmp_path / "frontend")
    for path in (OLD / "driven").iterdir():
        assert (tmp_path / "frontend" / path.name).read_bytes() == path.read_bytes()


def test_a_schema_that_never_was_is_refused() -> None:
    with pytest.raises(BadModel, match="schema 0 cannot be read"):
        upgrade({}, 0)
