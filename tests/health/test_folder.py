"""Folders of detectors: a level for the namespace, listed, and believed only as far as they are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mora import sealed
from mora.errors import BadInput, BadModel
from mora.health import folder as store
from mora.health.model import HealthModel, train
from tests.health.made import healthy


def trained(service: str, namespace: str = "default") -> HealthModel:
    return train(healthy(200), service=service, namespace=namespace, detector="robust-z", threshold="quantile")


def test_detectors_are_listed_by_namespace_and_names_are_checked(tmp_path: Path) -> None:
    assert store.list_detectors(tmp_path / "nothing") == []
    for namespace, service in (("shop", "web"), ("default", "web"), ("default", "cart")):
        trained(service, namespace).save(store.detector_folder(tmp_path, service, namespace))
    (tmp_path / "default" / "notes").mkdir()
    (tmp_path / "README").write_text("mine")
    assert store.list_detectors(tmp_path) == [("default", "cart"), ("default", "web"), ("shop", "web")]
    assert store.list_detectors(tmp_path, "shop") == [("shop", "web")]
    for service, namespace in (("../../etc", "default"), ("web", "..")):
        with pytest.raises(BadInput, match="not a valid"):
            store.detector_folder(tmp_path, service, namespace)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": []}, "metrics has 0 items"),
        ({"step_seconds": 0}, "step_seconds is 0"),
        ({"service": "../web"}, "not a name"),
        ({"context": -1}, "context is -1"),
        ({"trained_at": "yesterday"}, "trained_at"),
        ({"detector": 7}, "detector is 7|detector is a number"),
        ({"rows": None}, "rows is"),
    ],
)
def test_a_card_with_right_checksums_is_still_checked(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    model = trained("web")
    card = {name: value for name, value in model.card.items() if name not in ("files", "schema_version")}
    saved = model.detector.save()
    forged = store.seal({**card, **changes}, saved, model.threshold)
    store.write(tmp_path / "default" / "web", forged.files)
    with pytest.raises(BadModel, match=words):
        HealthModel.load(tmp_path / "default" / "web")


def test_a_detector_of_another_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    model = trained("web", "shop")
    card = {name: value for name, value in model.card.items() if name not in ("files", "schema_version")}
    for version, words in ((0, "schema 0 cannot be read"), (9, "newer MOrA")):
        contents = sealed.seal(card, {"detector.json": {}, "threshold.json": {}}, {}, schema_version=version)
        store.write(tmp_path / "shop" / "web", contents.files)
        with pytest.raises(BadModel, match=words):
            HealthModel.load(tmp_path / "shop" / "web")


def test_a_card_that_lacks_its_detector_is_refused(tmp_path: Path) -> None:
    model = trained("web")
    card = {name: value for name, value in model.card.items() if name not in ("files", "schema_version")}
    contents = sealed.seal(card, {"threshold.json": {}}, {}, schema_version=store.SCHEMA_VERSION)
    store.write(tmp_path / "default" / "web", contents.files)
    with pytest.raises(BadModel, match=r"no detector\.json"):
        HealthModel.load(tmp_path / "default" / "web")


def test_a_folder_is_plain_and_small(tmp_path: Path) -> None:
    model = train(healthy(2000), service="web")
    model.save(tmp_path / "default" / "web")
    files = sorted((tmp_path / "default" / "web").iterdir())
    assert {path.suffix for path in files} == {".json", ".npz"}
    assert sum(path.stat().st_size for path in files) < 24_000
    assert json.loads((tmp_path / "default" / "web" / "card.json").read_text())["detector"] == "context-distance"
