"""A model's folder: whole or not at all, verified, plain."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mora import sealed
from mora.domain import Question
from mora.errors import BadInput, BadModel, MoraError
from mora.model import ServiceModel
from mora.model import folder as store
from mora.model.folder import CARD
from tests.model.conftest import Data


@pytest.mark.slow
def test_a_saved_model_gives_the_same_numbers_to_the_last_bit(model: ServiceModel, folder: Path, data: Data) -> None:
    again = ServiceModel.load(folder)
    assert again.digest == model.digest
    assert again.card == model.card
    for question in ({}, {"users": 30, "scenario": "checkout"}, {"users": 15}, {"replicas": 2}):
        assert again.demand(data[0], Question(**question)) == model.demand(data[0], Question(**question))


@pytest.mark.slow
def test_a_folder_is_plain_and_small(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "lstm.npz", "prophet.json", "response.json"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.5e6
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    with np.load(folder / "lstm.npz", allow_pickle=False) as arrays:
        assert "weight_first_kernel" in arrays.files


@pytest.mark.slow
def test_saving_again_replaces_the_folder_and_leaves_nothing_beside_it(model: ServiceModel, folder: Path) -> None:
    (folder / "prophet.json").write_text("{}")
    model.save(folder)
    assert ServiceModel.load(folder).digest == model.digest
    assert [path.name for path in folder.parent.iterdir()] == ["frontend"]


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_not_replaced(model: ServiceModel, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "precious.txt").write_text("mine")
    with pytest.raises(BadInput, match="not a model"):
        model.save(tmp_path / "notes")
    assert (tmp_path / "notes" / "precious.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["card.json", "prophet.json", "response.json", "lstm.npz"])
def test_a_half_written_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadModel) as caught:
        ServiceModel.load(folder)
    assert name in str(caught.value)
    assert "mora train frontend" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["card.json", "prophet.json", "response.json", "lstm.npz"])
def test_a_missing_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadModel, match=name):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_an_edited_file_is_refused_by_its_name(folder: Path) -> None:
    text = (folder / "response.json").read_text()
    edited = text.replace('"oom_kills": 0', '"oom_kills": 1', 1)
    assert edited != text
    (folder / "response.json").write_text(edited)
    with pytest.raises(BadModel, match=r"response\.json was edited"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_an_edited_card_is_refused(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card["report"]["calibrations"]["driven"]["cpu"]["kept"] = 8000
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(BadModel, match=r"card\.json was edited"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_a_newer_model_is_refused_with_what_to_do(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "schema_version": 3}))
    with pytest.raises(BadModel, match=r"newer MOrA \(schema 3, this one reads up to 2\)"):
        ServiceModel.load(folder)


@pytest.mark.slow
def test_a_card_that_names_a_file_outside_its_folder_is_refused(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card.pop("digest")
    card["files"]["../secret.json"] = {"sha256": "0", "bytes": 1}
    (folder / CARD).write_text(json.dumps({**card, "digest": sealed._digest(card)}))
    with pytest.raises(BadModel, match="outside of itself"):
        ServiceModel.load(folder)


def test_no_folder_and_an_empty_one_are_no_models(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(BadModel, match="no model, or was not finished"):
            ServiceModel.load(path)


def test_a_file_that_never_ends_or_is_a_link_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    shutil.copytree(Path(__file__).parent / "schema_1" / "driven", folder)
    secret = tmp_path / "secret.json"
    (folder / "response.json").rename(secret)
    for name, make in (("response.json", secret), ("response.json", Path("/dev/zero")), (CARD, Path("/dev/zero"))):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(make)
        with pytest.raises(BadModel, match=rf"{name} cannot be read: it is a link"):
            ServiceModel.load(folder)
    (folder / CARD).unlink()
    os.mkfifo(folder / CARD)
    with pytest.raises(BadModel, match=r"card\.json cannot be read: it is not a regular file"):
        ServiceModel.load(folder)
    (folder / CARD).unlink()
    with (folder / CARD).open("wb") as huge:
        huge.truncate(5 << 30)
    with pytest.raises(BadModel, match=r"card\.json cannot be read: it is larger than the 16 MiB"):
        ServiceModel.load(folder)


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "{}", '{"schema_version": true}', '{"schema_version": 2, "files": null, "digest": ""}', "[" * 9**5],
)
def test_a_card_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(BadModel, match=r"card\.json"):
        ServiceModel.load(tmp_path)


@pytest.mark.slow
def test_a_write_that_fails_leaves_the_old_model_whole(folder: Path, model: ServiceModel) -> None:
    class Unwritable(dict[str, bytes]):
        """Files of which the second cannot be had, as on a full disk."""

        def items(self):  # type: ignore[no-untyped-def]  # only what write() asks for
            yield "card.json", b"{}"
            raise OSError(28, "No space left on device")

    with pytest.raises(MoraError, match=r"cannot be written to .*frontend: No space left on device"):
        store.write(folder, Unwritable())
    assert ServiceModel.load(folder).digest == model.digest
    assert [path.name for path in folder.parent.iterdir()] == ["frontend"]


def test_what_killed_writers_left_is_swept_and_a_model_that_one_had_put_aside_comes_back(tmp_path: Path) -> None:
    for name in (".frontend.abc.new", ".frontend.def.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CARD).write_text(name)
    sealed._take_back(tmp_path / "frontend")
    assert (tmp_path / "frontend" / CARD).read_text() == ".frontend.def.old"
    (tmp_path / ".frontend.def.old").mkdir()
    store.write(tmp_path / "frontend", {CARD: b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["frontend"]


def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tiny_disk: Path) -> None:
    with pytest.raises(MoraError, match=r"cannot be written to .*No space left on device"):
        store.write(tiny_disk / "models" / "frontend", {"card.json": b"{}", "lstm.npz": bytes(64 << 20)})
    assert list((tiny_disk / "models").iterdir()) == []


def test_models_of_a_namespace_are_not_lost_to_a_service_of_its_name(tmp_path: Path) -> None:
    store.write(tmp_path / "shop", {"card.json": b"{}"})
    store.write(tmp_path / "shop" / "cart", {"card.json": b"{}"})
    with pytest.raises(BadInput, match=r"models of a namespace \(cart\)"):
        store.write(tmp_path / "shop", {"card.json": b"{}"})
    assert (tmp_path / "shop" / "cart" / "card.json").is_file()


@pytest.mark.slow
def test_a_loaded_model_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    ServiceModel.load(folder).save(tmp_path / "copy")
    for path in folder.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_folder_can_be_moved(folder: Path, tmp_path: Path, model: ServiceModel) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert ServiceModel.load(tmp_path / "elsewhere").digest == model.digest
