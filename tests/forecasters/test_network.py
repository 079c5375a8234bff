"""The forward pass in numpy: the same numbers from saved arrays, alone and among many."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from mora.forecasters.network import Network
from tests.forecasters.making import random_network


def test_saved_arrays_give_the_same_numbers_to_the_last_bit() -> None:
    network = random_network()
    again = Network.from_arrays(network.arrays())
    windows = np.random.default_rng(1).random((5, 30, 12))
    levels = np.ones((5, 3))
    np.testing.assert_array_equal(network.predict(windows, levels), again.predict(windows, levels))


def test_one_window_alone_is_forecast_as_it_is_among_many() -> None:
    network = random_network()
    windows = np.random.default_rng(1).random((40, 30, 12))
    levels = np.ones((40, 3))
    together = network.predict(windows, levels)
    alone = np.concatenate([network.predict(windows[i : i + 1], levels[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_the_high_level_is_never_below_the_mean_nor_either_below_zero() -> None:
    network = random_network()
    levels = network.predict(np.random.default_rng(1).random((50, 30, 12)), np.full((50, 3), 0.01))
    assert (levels >= 0).all()
    assert (levels[:, :, 1] >= levels[:, :, 0]).all()


def test_reading_a_network_does_not_import_tensorflow() -> None:
    code = (
        "import sys, numpy as np; from tests.forecasters.making import random_network;"
        "random_network().predict(np.zeros((1, 30, 12)), np.zeros((1, 3)));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
