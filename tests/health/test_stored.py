"""Detectors of a folder: those that are wanted, and another version after each training."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import BadModel
from mora.health.stored import Stored
from tests.health.watching import CART, FRONT, trained


def save(folder: Path, *keys: tuple[str, str]) -> None:
    for key in keys:
        trained(key=key).save(folder / key[0] / key[1])


def test_it_has_what_the_folder_has_and_what_is_wanted_of_it(tmp_path: Path) -> None:
    save(tmp_path, FRONT, CART, ("other", "web"))
    assert set(Stored(tmp_path).versions()) == {FRONT, CART, ("other", "web")}
    assert set(Stored(tmp_path, namespace="shop").versions()) == {FRONT, CART}
    assert set(Stored(tmp_path, wanted=[CART, ("shop", "nobody")]).versions()) == {CART}
    assert Stored(tmp_path / "nowhere").versions() == {}
    assert Stored(tmp_path).load(CART).service == "cart"


def test_trained_again_is_another_version(tmp_path: Path) -> None:
    save(tmp_path, FRONT)
    before = Stored(tmp_path).versions()
    assert Stored(tmp_path).versions() == before
    save(tmp_path, FRONT)
    assert Stored(tmp_path).versions() != before


def test_a_half_written_or_edited_one_is_refused(tmp_path: Path) -> None:
    save(tmp_path, FRONT, CART)
    (tmp_path / "shop" / "frontend" / "detector.json").write_text("{}")
    (tmp_path / "shop" / "cart" / "card.json").unlink()
    assert set(Stored(tmp_path).versions()) == {FRONT}
    with pytest.raises(BadModel):
        Stored(tmp_path).load(FRONT)
