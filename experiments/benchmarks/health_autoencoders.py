"""The autoencoders: what a fit costs, what a window and a row cost in numpy, LiteRT and Keras, and whether these agree.

    python experiments/benchmarks/health_autoencoders.py [--rows 2000]

Made-up samples of five metrics, one a minute. Promised for the LSTM autoencoder: fitted on 2,000 rows in 60 CPU
seconds, a window in 1 ms, 0.5 MB on disk; the three say the same to 1e-4.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from mora.detectors.autoencoder import DenseAutoencoder
from mora.detectors.lstm_autoencoder import LstmAutoencoder
from mora.health.model import train
from mora.networks.autoencoder_fit import dense_model, lstm_model, pour
from mora.networks.keras_room import load_keras
from mora.networks.tflite import TfliteModel
from mora.testing.examples import AS_OF

REPEATS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    rows = parser.parse_args().rows
    frame = service(rows)
    start = time.process_time()
    keras = load_keras(by="This benchmark")
    print(f"TensorFlow imported in {time.process_time() - start:.1f} CPU s")
    for detector, build, fitted_in in (
        (LstmAutoencoder(), lstm_model, 60.0),
        (DenseAutoencoder(), dense_model, None),
    ):
        start = time.process_time()
        detector.fit(frame)
        fit = time.process_time() - start
        assert detector._inputs is not None
        assert detector._network is not None
        if isinstance(detector, LstmAutoencoder):
            given = detector._inputs.windows(frame)
        else:
            given = detector._inputs.rows(frame)
        content = detector.tflite()
        print(f"\n{detector.name}, layers {detector.units}, on {rows} rows of five metrics")
        print(f"  fit                     {fit:8.1f} CPU s" + (f"  (at most {fitted_in:.0f})" if fitted_in else ""))
        print(f"  folder on disk          {on_disk(detector, frame):8.0f} kB")
        print(f"  as TFLite               {len(content) / 1000:8.0f} kB")
        compare(detector._network, TfliteModel(content), twin_of(keras, build, detector, given), given)
        start = time.process_time()
        detector.score(frame)
        print(f"  score of {rows} rows      {time.process_time() - start:8.2f} CPU s")
        if fitted_in:
            assert fit < fitted_in


def compare(network: Any, lite: TfliteModel, twin: Any, given: np.ndarray) -> None:
    """Milliseconds of one example and of one among a thousand, and the largest differences."""
    one, many = given[:1], given[-1000:]
    single, plenty = one.astype(np.float32), many.astype(np.float32)
    print("  CPU ms a window or row     alone   among 1,000")
    times = {
        "numpy (what MOrA runs)": (
            milliseconds(lambda: network.forward(one)),
            milliseconds(lambda: network.forward(many)),
        ),
        f"{lite.library}": (milliseconds(lambda: lite.forward(one)), milliseconds(lambda: lite.forward(many))),
        "Keras model.predict": (
            milliseconds(lambda: twin.predict(single, verbose=0)),
            milliseconds(lambda: twin.predict(plenty, verbose=0)),
        ),
    }
    for name, (alone, among) in times.items():
        print(f"    {name:<22}{alone:8.3f}{among / len(many):12.3f}")
    ours = network.forward(many)
    for name, theirs in (("LiteRT", lite.forward(many)), ("Keras", twin.predict(plenty, verbose=0))):
        difference = float(np.abs(ours - theirs).max())
        print(f"  numpy and {name:<8} differ by at most {difference:.1e}  (at most 1e-4)")
        assert difference < 1e-4
    assert min(times["numpy (what MOrA runs)"][0], times[lite.library][0]) < 1.0


def twin_of(keras: Any, build: Any, detector: Any, given: np.ndarray) -> Any:
    """A Keras model with the same weights."""
    twin = build(keras, given.shape[1:], detector.units, 0)
    pour(twin, detector._network.weights)
    return twin


def on_disk(detector: Any, frame: pd.DataFrame) -> float:
    """Kilobytes of the folder that mora health train writes: the same network, fitted for one epoch."""
    short = type(detector)(epochs=1)
    model = train(frame, service="web", detector=short, metrics=[c for c in frame if c != "timestamp"])
    return sum(map(len, model.files.values())) / 1000


def milliseconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append((time.process_time() - start) * 1000)
    return median(times)


def service(rows: int) -> pd.DataFrame:
    """Request rate, latency, memory, error rate and CPU within the document's bounds, with a daily wave and noise."""
    rng = np.random.default_rng(0)
    wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(rows) / 1440)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(AS_OF, periods=rows, freq="60s").as_unit("us"),
            "request_rate": 50 * wave + rng.normal(0, 2, rows),
            "latency_p95": 0.1 * wave + rng.normal(0, 0.01, rows),
            "memory_usage": 3e8 * (1 + 0.1 * wave),
            "error_rate": rng.uniform(0, 0.02, rows),
            "cpu_usage": 0.05 * wave + rng.normal(0, 0.003, rows),
        }
    )


if __name__ == "__main__":
    main()
