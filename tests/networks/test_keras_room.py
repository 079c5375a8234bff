"""The room that imports TensorFlow."""

from __future__ import annotations

import os

import pytest

from mora import extras
from mora.errors import ToolMissing
from mora.networks import keras_room


def test_without_tensorflow_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_installed", lambda module: module != "tensorflow")
    with pytest.raises(ToolMissing, match="Fitting an autoencoder needs") as raised:
        keras_room.load_keras(by="Fitting an autoencoder")
    assert "mora-rightsizing[train]" in str(raised.value.hint)


def test_standard_error_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with keras_room.silent_stderr():
        os.write(2, b"not seen")
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_no_more_traced_networks_are_kept_than_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_room, "_traced", {})
    for number in range(20):
        keras_room.keep(number, object())
    assert list(keras_room._traced) == list(range(12, 20))


def test_seeds_are_the_same_again() -> None:
    first, second = keras_room.seeds(3), keras_room.seeds(3)
    drawn = [first() for _ in range(5)]
    assert drawn == [second() for _ in range(5)]
    assert len(set(drawn)) == 5
