"""Autoencoders in numpy: they take the weights that they need and no others."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mora.errors import BadInput
from mora.networks.autoencoders import DenseNetwork, LstmNetwork, dense_shapes, lstm_shapes, read_units
from tests.networks.making import drawn


def test_a_window_alone_is_given_back_as_it_is_among_many() -> None:
    network = LstmNetwork(drawn(lstm_shapes((8, 4), 5)), (8, 4), 5)
    windows = np.random.default_rng(1).random((300, 6, 5))
    together = network.forward(windows)
    np.testing.assert_allclose(together[299:], network.forward(windows[299:]), rtol=1e-12)
    assert together.shape == windows.shape


@pytest.mark.parametrize("wrong", ["lacking", "shape", "nan", "text"])
@pytest.mark.parametrize("kind", ["lstm", "dense"])
def test_weights_that_no_fit_left_are_refused(wrong: str, kind: str) -> None:
    shapes = lstm_shapes((8, 4), 5) if kind == "lstm" else dense_shapes((8, 4), 5)
    network = LstmNetwork if kind == "lstm" else DenseNetwork
    weights: dict[str, np.ndarray] = {**drawn(shapes)}
    network(weights, (8, 4), 5)
    if wrong == "lacking":
        del weights["output_bias"]
    elif wrong == "shape":
        weights["output_bias"] = weights["output_bias"][:-1]
    elif wrong == "nan":
        weights["output_bias"][0] = np.nan
    else:
        weights["output_bias"] = np.array(["a"] * 5)
    with pytest.raises(ValueError, match="output_bias"):
        network(weights, (8, 4), 5)


@pytest.mark.parametrize("units", ["", "64,64", "8,16", "0", "a", [], [3.5], "99999"])
def test_layers_that_do_not_shrink_are_refused(units: object) -> None:
    with pytest.raises(BadInput, match="layers"):
        read_units(units)  # type: ignore[arg-type]  # what is wrong


def test_computing_a_network_does_not_import_tensorflow() -> None:
    code = (
        "import sys, numpy as np; from mora.networks.autoencoders import *; from tests.networks.making import drawn;"
        "LstmNetwork(drawn(lstm_shapes((4,), 3)), (4,), 3).forward(np.zeros((1, 5, 3)));"
        "import mora.detectors.lstm_autoencoder, mora.detectors.autoencoder;"
        "assert not {'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
