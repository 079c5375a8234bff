"""The LSTM's forward pass: numpy beside Keras, on the same weights and windows.

    python experiments/benchmarks/forward_pass.py [--model models/frontend] [--data data]

Promised: 1 ms at batch 1, parity to 1e-5 on every window.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mora.dataset import read_dataset
from mora.features import MIN_TARGET_STEPS, segments
from mora.forecasters import keras_fit as room
from mora.forecasters.lstm import WindowLstm, window_pairs
from mora.forecasters.network import Network
from mora.model import ServiceModel
from mora.networks.keras_room import load_keras

REPEATS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/frontend"), help="a trained model folder")
    parser.add_argument("--data", type=Path, default=Path("data"))
    options = parser.parse_args()
    model = ServiceModel.load(options.model)
    lstm = model.forecasters.get("lstm")
    assert isinstance(lstm, WindowLstm), "this model has no LSTM: its data had too few windows"
    network = lstm.network
    pieces = segments(read_dataset(model.workload.name, options.data))
    pairs = window_pairs(pieces, network.columns, network.targets, min_target=MIN_TARGET_STEPS)
    windows = network.inputs.scale(pairs.inputs)
    keras = load_keras(by="This benchmark")
    twin = pour(keras, network, windows.shape[1:])
    single = windows[:1].astype(np.float32)
    many = windows.astype(np.float32)
    difference = float(np.abs(network.forward(windows) - twin.predict(many, verbose=0)).max())
    print(f"{'milliseconds':<34}{'batch 1':>10}{f'batch {len(windows)}':>12}")
    for name, one, all_of_them in (
        ("numpy (what MOrA runs)", lambda: network.forward(windows[:1]), lambda: network.forward(windows)),
        ("Keras model.predict", lambda: twin.predict(single, verbose=0), lambda: twin.predict(many, verbose=0)),
        ("Keras model(x)", lambda: twin(single, training=False), lambda: twin(many, training=False)),
    ):
        print(f"{name:<34}{milliseconds(one):>10.2f}{milliseconds(all_of_them):>12.2f}")
    print(f"largest difference on {len(windows)} windows: {difference:.1e} (target: 1e-5)")
    assert difference < 1e-5


def pour(keras: Any, network: Network, shape: tuple[int, ...]) -> Any:
    """A Keras model with the same weights."""
    twin = room._build(keras, shape, network.targets, np.zeros(2 * len(network.targets)))
    w = network.weights
    for layer in ("first", "second"):
        twin.get_layer(layer).set_weights([w[f"{layer}_kernel"], w[f"{layer}_recurrent"], w[f"{layer}_bias"]])
    for target in network.targets:
        for layer in (f"{target.value}_hidden", target.value):
            twin.get_layer(layer).set_weights([w[f"{layer}_kernel"], w[f"{layer}_bias"]])
    return twin


def milliseconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return median(times)


if __name__ == "__main__":
    main()
