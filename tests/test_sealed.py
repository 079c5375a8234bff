"""Sealed folders, of whatever kind: verified, whole or not at all, each with its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora import sealed
from mora.documents import Misfit
from mora.errors import BadInput, BadModel


def _card(card: dict[str, Any], version: int) -> dict[str, Any]:
    if "of" not in card:
        raise Misfit("of is missing")
    return {**card, "read_as": version}


def _document(name: str, document: Any) -> None:
    if document == "bad":
        raise Misfit("it is bad")


KIND = sealed.Kind("detector", "--health", lambda folder: f"make {folder.name}", 3, _card, _document)


def put(folder: Path, card: dict[str, Any], **documents: Any) -> sealed.Contents:
    names = {f"{name}.json": document for name, document in documents.items()}
    contents = sealed.seal(card, names, {"kept.npz": {"middle": np.array([1.0, 2.5])}}, schema_version=3)
    sealed.write(folder, contents.files, KIND)
    return contents


def test_what_is_written_is_read_back_with_the_card_in_the_current_schema(tmp_path: Path) -> None:
    written = put(tmp_path / "web", {"of": "web"}, facts={"a": [1, 2]})
    again = sealed.read(tmp_path / "web", KIND)
    assert (again.digest, again.card["of"], again.card["read_as"]) == (written.digest, "web", 3)
    assert again.documents == {"facts.json": {"a": [1, 2]}}
    np.testing.assert_array_equal(again.arrays["kept.npz"]["middle"], [1.0, 2.5])


def test_the_words_are_those_of_the_kind(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"not a detector\.\nName another folder with --health"):
        put(tmp_path / "notes", {"of": "web"})
    with pytest.raises(BadModel, match=r"it is no detector, or was not finished\.\nTrain it again: make web"):
        sealed.read(tmp_path / "web", KIND)


def test_cards_and_documents_are_checked_by_the_kind(tmp_path: Path) -> None:
    put(tmp_path / "a", {"other": 1})
    put(tmp_path / "b", {"of": "b"}, facts="bad")
    with pytest.raises(BadModel, match="not the card of a detector: of is missing"):
        sealed.read(tmp_path / "a", KIND)
    with pytest.raises(BadModel, match=r"facts\.json cannot be read: it is bad"):
        sealed.read(tmp_path / "b", KIND)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_folder_with_any_byte_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("sealed") / "web"
    put(folder, {"of": "web"}, facts={"a": 1.5})
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(raw))
    try:
        found = sealed.read(folder, KIND)
    except BadModel:
        return
    # The card's own white space is the one thing that no checksum is over.
    assert path.name == sealed.CARD
    assert found.card["of"] == "web"
