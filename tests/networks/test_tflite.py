"""TFLite models: run by LiteRT or TensorFlow, refused where they are none."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mora import extras
from mora.errors import BadModel, ToolMissing
from mora.networks.autoencoder_fit import as_tflite, dense_model
from mora.networks.autoencoders import dense_shapes
from mora.networks.tflite import TENSORFLOW, TfliteModel
from tests.networks.making import drawn


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x1c\0\0\0TFL3" + b"\0" * 100])
def test_what_is_no_tflite_model_is_not_run(content: bytes) -> None:
    with pytest.raises(BadModel):
        TfliteModel(content)


def test_without_any_interpreter_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_installed", lambda module: module not in ("tensorflow", "ai_edge_litert"))
    with pytest.raises(ToolMissing, match="Running a TFLite model needs") as raised:
        TfliteModel(b"")
    assert "mora-rightsizing[health]" in str(raised.value.hint)


@pytest.mark.slow
def test_threads_copies_and_tensorflows_own_interpreter_give_what_litert_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    content = as_tflite(dense_model, (6,), (4, 2), drawn(dense_shapes((4, 2), 6)))
    rows = np.random.default_rng(1).random((200, 6))
    model = TfliteModel(content)
    expected = model.forward(rows)
    # In several threads at once, and as another process gets it.
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(model.forward, [rows] * 8):
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(copy.deepcopy(model).forward(rows), expected)
    monkeypatch.setattr(extras, "_is_installed", lambda module: module != "ai_edge_litert")
    other = TfliteModel(content)
    assert other.library == TENSORFLOW
    np.testing.assert_allclose(other.forward(rows), expected, atol=1e-6)
