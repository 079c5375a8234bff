"""Drift of models that stand in a folder, as commands and answers ask for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mora import dataset, pipeline
from mora.config import load_settings
from mora.errors import BadDataset, BadModel
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.model import ServiceModel, TrainSettings, train
from mora.model.catalogue import model_folder
from mora.pipeline.drifting import drift_lines, drift_remarks, drifted, find_drift, render_drift
from tests import fakes_learning as fakes
from tests.drift import making
from tests.drift.conftest import model
from tests.fleet.making import container_history, history, state, steady

__all__ = ["model"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model: ServiceModel) -> Path:
    """A folder with a model and a history that changed its level since."""
    root = tmp_path_factory.mktemp("drift")
    model.save(model_folder(root / "models", "frontend"))
    put(root, making.history("level"))
    return root


def put(root: Path, frame: pd.DataFrame, service: str = "frontend") -> None:
    folder = dataset.service_folder(root / "data", service)
    folder.mkdir(parents=True, exist_ok=True)
    stamps = frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"{frame['experiment_id'].iloc[0]}.csv"
    frame.assign(timestamp=stamps, service=service).to_csv(folder / name, index=False)


def where(root: Path) -> dict[str, Any]:
    return {"data_dir": root / "data", "models_dir": root / "models"}


def test_a_service_that_drifted_is_found_and_shown_in_every_form(home: Path) -> None:
    found = find_drift(["frontend"], **where(home))
    assert [one.has_drifted for one in found] == [True]
    assert json.loads(render_drift(found, "json"))["services"][0]["findings"][0]["feature"] == "cpu_cores_value"
    assert "CPU is 1." in render_drift(found, "table")
    assert "<!doctype html>" in render_drift(found, "html").lower()


def test_what_drifted_is_due_and_so_is_what_has_no_model(home: Path) -> None:
    due, told = drifted(["frontend", "cart"], **where(home))
    assert due == ["frontend", "cart"]
    assert told[0].startswith("frontend: CPU is 1.")
    assert told[1] == "cart: it has no model yet."


def test_what_has_not_drifted_is_not_trained_again(tmp_path: Path, model: ServiceModel) -> None:
    model.save(model_folder(tmp_path / "models", "frontend"))
    put(tmp_path, making.history())
    assert drifted(["frontend"], **where(tmp_path)) == ([], ["frontend: not trained again, no drift."])


def test_an_answer_says_that_the_model_has_drifted(home: Path, model: ServiceModel) -> None:
    frame = dataset.read_samples("frontend", home / "data").frame
    advice = pipeline.recommend("frontend", **where(home), stale_ok=True)
    told = [reason for reason in advice.reasons if reason.code == "drifted"]
    assert len(told) == 1
    assert "train it again: mora train frontend" in told[0].text
    assert tuple(told) == drift_remarks(model, frame)
    assert drift_remarks(model, making.history()) == ()
    assert drift_remarks(model, frame.iloc[:0]) == ()


def test_of_several_services_one_without_data_is_not_judged_and_the_others_are(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "both")
    model_of_another(tmp_path / "both", "cart")
    found = find_drift(["cart", "frontend"], **where(tmp_path / "both"))
    assert [(one.is_judged, one.has_drifted) for one in found] == [(False, False), (True, True)]
    assert "not judged: There is no data of 'cart'" in render_drift(found, "table")


def test_of_several_services_one_with_a_broken_model_costs_its_own_row_alone(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    shutil.copytree(home, root)
    model_of_another(root, "cart")
    put(root, making.history(), "cart")
    for path in (root / "models" / "cart").rglob("*.json"):
        path.write_text("{")
    found = find_drift(["cart", "frontend"], **where(root))
    assert [(one.workload.name, one.is_judged, one.has_drifted) for one in found] == [
        ("cart", False, False),
        ("frontend", True, True),
    ]
    shown = render_drift(found, "table")
    assert "not judged: " in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("cart ")] == [
        ["cart", "-", "-", "not", "judged", "-"]
    ]
    document = json.loads(render_drift(found, "json"))["services"][0]
    assert (document["trained_until"], document["model_digest"]) == (None, None)
    assert "cart: not judged" in render_drift(found, "html")
    with pytest.raises(BadModel):
        find_drift(["cart"], **where(root))


def model_of_another(root: Path, name: str) -> None:
    frame = making.history(days=1).assign(service=name)
    train(frame, {}, replace(fakes.WORKLOAD, name=name), settings=TrainSettings(weights={"naive": 1.0})).save(
        model_folder(root / "models", name)
    )


def test_what_is_missing_is_named(tmp_path: Path, model: ServiceModel) -> None:
    with pytest.raises(BadModel, match="no model of 'frontend'"):
        find_drift(["frontend"], **where(tmp_path))
    model.save(model_folder(tmp_path / "models", "frontend"))
    with pytest.raises(BadDataset, match="no data of 'frontend'"):
        find_drift(["frontend"], **where(tmp_path))


def test_advice_on_a_whole_cluster_says_that_a_model_has_drifted(home: Path, model: ServiceModel) -> None:
    measured = pipeline.measured_allocation(model)
    (container,) = measured.containers
    seen = history(container_history(container.name, cpu_cores=steady(0.2)), workload=model.workload)
    of = state(workload=model.workload, allocation=measured)
    fleet = FleetSettings()
    ask = pipeline.trained_demand(home / "models", home / "data", fleet, stale_ok=True)
    (advice,) = stream([of], [seen], seen.window, fleet, ask=ask)
    told = [reason.text for reason in advice.reasons if reason.code == "drifted"]
    assert len(told) == 1
    assert told[0].startswith("CPU is 1.")
    assert "train it again: mora train frontend" in told[0]


def test_what_was_collected_is_compared_with_its_model_in_a_line(home: Path) -> None:
    settings = load_settings(where(home), {}, home)
    (line,) = drift_lines(settings, ["frontend", "cart"])
    assert line.startswith("frontend has drifted from its model: CPU is 1.")
    assert "(since 2026-09-" in line
    assert line.endswith(" More: mora drift frontend")
    assert drift_lines(settings, ["cart"]) == []


def test_a_model_that_cannot_be_read_fails_no_collection(tmp_path: Path, model: ServiceModel) -> None:
    folder = model_folder(tmp_path / "models", "frontend")
    model.save(folder)
    put(tmp_path, making.history())
    settings = load_settings(where(tmp_path), {}, tmp_path)
    assert drift_lines(settings, ["frontend"]) == []
    next(folder.rglob("card.json")).write_text("{", encoding="utf-8")
    (line,) = drift_lines(settings, ["frontend"])
    assert line.startswith("frontend: whether it has drifted is not known: ")
