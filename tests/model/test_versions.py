"""The versions of a model: one answers, going back is one step, and nothing that is needed for it is deleted."""

from __future__ import annotations

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora import pipeline
from mora.errors import BadInput, BadModel, MoraError
from mora.model import ServiceModel, versions
from mora.model.layout import version_folder
from mora.pipeline.versions import rollback
from tests.model.making import version

START = datetime(2026, 9, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def kept(folder: Path, *numbers: int) -> versions.Versions:
    """So many trainings, an hour apart."""
    return [versions.keep(folder, version(number), at=at(hour)) for hour, number in enumerate(numbers)][-1]


def test_every_training_is_a_version_and_the_newest_answers(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    now = kept(folder, 1, 2)
    assert now.champion == version(2).digest == pipeline.load_model("frontend", models_dir=tmp_path).digest
    assert now.newest_first == [version(2).digest, version(1).digest]
    assert now.previous == version(1).digest
    assert pipeline.list_models(tmp_path) == ["frontend"]
    older = pipeline.load_model("frontend", models_dir=tmp_path, version=version(1).digest[:6])
    assert older.digest == version(1).digest
    with pytest.raises(BadInput, match=f"There is: {now.champion[:12]}, "):
        pipeline.load_model("frontend", models_dir=tmp_path, version="zz")


def test_the_same_data_and_seed_are_the_same_version(tmp_path: Path) -> None:
    now = kept(tmp_path / "frontend", 1, 1)
    assert len(now.trained) == len(now.turns) == 1
    assert now.trained[now.champion] == at(1)


def test_a_rollback_makes_the_champion_before_answer_and_a_second_one_comes_back(tmp_path: Path) -> None:
    kept(tmp_path / "frontend", 1, 2)
    for hour, number in ((5, 1), (6, 2)):
        rollback("frontend", at=at(hour), models_dir=tmp_path)
        assert pipeline.load_model("frontend", models_dir=tmp_path).digest == version(number).digest
    before, after = rollback("frontend", at=at(7), to=version(1).digest[:8], models_dir=tmp_path)
    assert (before.champion, after.champion) == (version(2).digest, version(1).digest)
    with pytest.raises(BadInput, match="champion of 'frontend' already"):
        rollback("frontend", at=at(8), to=version(1).digest, models_dir=tmp_path)


def test_there_is_nothing_to_go_back_to_after_one_training(tmp_path: Path) -> None:
    kept(tmp_path / "frontend", 1)
    with pytest.raises(BadInput, match="no champion before"):
        rollback("frontend", at=at(1), models_dir=tmp_path)
    with pytest.raises(BadModel, match="mora train cart"):
        rollback("cart", at=at(1), models_dir=tmp_path)


def test_a_version_that_is_not_whole_does_not_become_the_champion(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    now = kept(folder, 1, 2)
    (version_folder(folder, version(1).digest) / "card.json").write_text("{")
    with pytest.raises(BadModel, match="Train it again: mora train frontend"):
        rollback("frontend", at=at(2), models_dir=tmp_path)
    assert versions.read_versions(folder) == now


def test_a_challenger_does_not_answer_and_a_second_one_does_not_take_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1)
    versions.keep(folder, version(2), at=at(1), as_challenger=True)
    now = versions.keep(folder, version(3), at=at(2), as_challenger=True)
    assert (now.champion, now.challenger) == (version(1).digest, version(2).digest)
    assert len(now.trained) == 3
    assert ServiceModel.load(folder).digest == version(1).digest
    assert kept(folder, 4).challenger is None


def test_the_champion_does_not_challenge_itself(tmp_path: Path) -> None:
    kept(tmp_path / "frontend", 1)
    assert versions.keep(tmp_path / "frontend", version(1), at=at(1), as_challenger=True).challenger is None


@settings(max_examples=10)
@given(st.lists(st.tuples(st.sampled_from(["train", "challenge", "back"]), st.integers(0, 9)), max_size=12))
def test_what_answers_and_what_is_gone_back_to_are_always_there(steps: list[tuple[str, int]]) -> None:
    folder = Path(tempfile.mkdtemp()) / "frontend"
    try:
        now = kept(folder, 0)
        for hour, (step, number) in enumerate(steps):
            if step == "back":
                if now.previous is not None:
                    _, now = rollback("frontend", at=at(hour), models_dir=folder.parent)
            else:
                now = versions.keep(folder, version(number), at=at(hour), as_challenger=step == "challenge")
            assert versions.read_versions(folder) == now
            for needed in filter(None, (now.champion, now.previous, now.challenger)):
                assert ServiceModel.load(version_folder(folder, needed)).digest == needed
            on_disk = {path.name for path in (folder / "versions").iterdir()}
            assert on_disk == {digest[:12] for digest in now.trained}
            assert len(on_disk) <= versions.KEPT_VERSIONS + 3
    finally:
        shutil.rmtree(folder.parent)


def test_a_folder_of_before_answers_and_becomes_the_first_version(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    version(1).save(folder)
    (folder / "README.txt").write_text("mine")
    assert pipeline.load_model("frontend", models_dir=tmp_path).digest == version(1).digest
    with pytest.raises(BadModel, match="kept no versions"):
        rollback("frontend", at=at(0), models_dir=tmp_path)
    now = versions.keep(folder, version(2), at=datetime.now(UTC))
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "versions", "versions.json"]
    assert now.previous == version(1).digest
    rollback("frontend", at=at(0), models_dir=tmp_path)
    assert ServiceModel.load(folder).digest == version(1).digest


def test_a_version_whose_deletion_was_interrupted_can_be_trained_again(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1)
    half = version_folder(folder, version(2).digest)
    half.mkdir()
    (half / "lstm.npz").write_bytes(b"half")
    left = half.with_name(".1f3a5c20b7d4.abcdefgh.new")
    left.mkdir()
    assert kept(folder, 2).champion == version(2).digest
    assert ServiceModel.load(folder).digest == version(2).digest
    assert not left.exists()


def test_versions_are_not_deleted_in_a_folder_that_a_link_leads_to(tmp_path: Path) -> None:
    folder, foreign = tmp_path / "frontend", tmp_path / "mine"
    kept(folder, 1)
    (foreign / "0123456789ab").mkdir(parents=True)
    shutil.rmtree(folder / "versions")
    (folder / "versions").symlink_to(foreign)
    with pytest.raises(BadInput, match="is a link"):
        kept(folder, 2)
    assert [path.name for path in foreign.iterdir()] == ["0123456789ab"]


def test_a_torn_model_of_before_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "frontend").mkdir()
    (tmp_path / "frontend" / "card.json").write_text("{")
    assert len(kept(tmp_path / "frontend", 1).trained) == 1


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 1, "champion": "../../etc"}', None])
def test_a_lost_or_forged_file_of_versions_is_refused_and_made_again_by_a_training(
    tmp_path: Path, text: str | None
) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1, 2)
    (folder / "versions" / version(1).digest[:12] / "card.json").write_text("{")
    (folder / "versions.json").unlink() if text is None else (folder / "versions.json").write_text(text)
    with pytest.raises(BadModel, match="Train it again: mora train frontend"):
        pipeline.load_model("frontend", models_dir=tmp_path)
    now = versions.keep(folder, version(3), at=datetime.now(UTC))
    assert (now.champion, now.previous) == (version(3).digest, version(2).digest)
    assert len(now.trained) == 2


def test_a_version_with_another_content_than_its_digest_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1)
    version(2).save(version_folder(folder, version(1).digest))
    with pytest.raises(BadModel, match=r"another model than the version .*\n.*mora train frontend"):
        ServiceModel.load(folder)


def test_a_champion_that_is_none_of_the_versions_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1)
    stored = json.loads((folder / "versions.json").read_text())
    (folder / "versions.json").write_text(json.dumps({**stored, "challenger": "0" * 64}))
    with pytest.raises(BadModel, match="none of its versions"):
        ServiceModel.load(folder)


def test_a_service_may_be_called_like_a_namespace(tmp_path: Path) -> None:
    kept(pipeline.model_folder(tmp_path, "cart", "shop"), 1)
    kept(pipeline.model_folder(tmp_path, "shop"), 2, 3)
    assert (pipeline.list_models(tmp_path), pipeline.list_models(tmp_path, "shop")) == (["shop"], ["cart"])
    assert pipeline.load_model("cart", models_dir=tmp_path, namespace="shop").digest == version(1).digest


def test_a_folder_of_something_else_is_refused_and_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "frontend").mkdir()
    (tmp_path / "frontend" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="not a model"):
        kept(tmp_path / "frontend", 1)
    assert [path.name for path in (tmp_path / "frontend").iterdir()] == ["notes.txt"]


def test_a_change_that_another_process_has_overtaken_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    before = kept(folder, 1, 2)
    now = versions.keep(folder, version(3), at=at(4))
    after = before.with_champion(version(1).digest, at=at(5), why="rolled back")
    with pytest.raises(MoraError, match="Another process has changed"):
        versions.change(folder, after, before=before)
    assert versions.read_versions(folder) == now


def test_a_full_disk_keeps_the_champion(small_disk: Path) -> None:
    folder = small_disk / "frontend"
    now = kept(folder, 1)
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    with pytest.raises(MoraError, match=r"cannot be written|Cannot write"):
        kept(folder, 2)
    assert versions.read_versions(folder) == now
    assert ServiceModel.load(folder).digest == version(1).digest


def test_trainings_of_one_service_at_a_time_all_are_kept(tmp_path: Path) -> None:
    numbers = range(1, versions.KEPT_VERSIONS + 1)
    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(lambda number: kept(tmp_path / "frontend", number), numbers))
    now = versions.known_versions(tmp_path / "frontend")
    assert set(now.trained) == {version(number).digest for number in numbers}


def test_versions_of_a_newer_mora_say_so_and_nothing_is_written_over_them(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    kept(folder, 1)
    pointer = folder / "versions.json"
    newer = json.dumps({**json.loads(pointer.read_text()), "schema_version": 99, "more": True})
    pointer.write_text(newer)
    for read in (versions.read_versions, versions.known_versions, versions.champion_folder):
        with pytest.raises(BadModel, match=r"written by a newer MOrA \(version 99") as refused:
            read(folder)
        assert "Upgrade" in str(refused.value.hint)
    with pytest.raises(BadModel, match="written by a newer MOrA"):
        kept(folder, 2)
    assert pointer.read_text() == newer
