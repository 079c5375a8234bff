"""Training one service: MOrA's way beside the plain way, on the same data, split and windows.

    python experiments/benchmarks/train.py [--service frontend] [--data data]

The plain way is what the tutorials do: a Keras model a target (LSTM 64 -> dropout -> LSTM 32 -> dropout -> Dense 16 ->
Dense 1), batch 32, the level of the next 30 steps as the target, min-max scaled on the training part, `model.predict`.
Targets on two cores: 20 s wall and 1.0 GB peak for everything (fits, validation scores, saving), 1.5 MB of model, and
a validation error of CPU and memory no worse than the plain way's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mora.dataset import read_cards, read_dataset
from mora.domain import Target
from mora.features import MIN_TARGET_STEPS, TARGETS, MinMaxScaler, segments
from mora.forecasters.lstm import known_columns, window_pairs
from mora.model import ServiceModel
from mora.model.cells import is_pinned, split_cells
from mora.model.driven import longest_pieces
from mora.networks.keras_room import load_keras
from mora.response import LoadResponse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="frontend")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="only run the plain way and print its errors as JSON")
    options = parser.parse_args()
    if options.plain:
        print(json.dumps(plain(options.service, options.data, options.seed)))
        return
    with tempfile.TemporaryDirectory() as models:
        ours = [sys.executable, "-m", "mora", "train", options.service, "--data", str(options.data)]
        ours += ["--models", models, "--seed", str(options.seed)]
        seconds, peak_mb, _ = measure(ours)
        folder = Path(models) / options.service
        size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        report = ServiceModel.load(folder).report["next_steps"]
    command = [sys.executable, __file__, "--plain", "--service", options.service, "--data", str(options.data)]
    plain_seconds, plain_mb, said = measure([*command, "--seed", str(options.seed)])
    reference = json.loads(said.splitlines()[-1])
    print(f"{'':<40}{'wall s':>8}{'peak MB':>9}{'model MB':>10}   promised 20 s, 1024 MB, 1.5 MB")
    print(f"{'mora train ' + options.service:<40}{seconds:>8.1f}{peak_mb:>9.0f}{size_mb:>10.2f}")
    fits = reference["fit_seconds"]
    print(f"{f'three Keras models (fits {fits:.1f} s)':<40}{plain_seconds:>8.1f}{plain_mb:>9.0f}")
    print(
        f"\n{'validation error of the next 30 steps (mean)':<44}{'cpu, cores':>14}{'memory, bytes':>16}{'replicas':>12}"
    )
    for name in ("prophet", "lstm", "blend", "naive"):
        print(row(f"mora, {name}", {t.value: report[t.value]["errors"].get(name, {}).get("mean") for t in TARGETS}))
    print(row("plain, LSTM", reference["errors"]))
    for target in (Target.CPU, Target.MEMORY):
        ours_error, plain_error = report[target.value]["errors"]["blend"]["mean"], reference["errors"][target.value]
        verdict = "no worse" if ours_error <= plain_error else "WORSE"
        print(f"{target.value}: mora's blend is {verdict} than the plain way ({ours_error / plain_error:.2f} of it)")


def row(name: str, errors: dict[str, float | None]) -> str:
    cells = [(errors[target.value], width) for target, width in zip(TARGETS, (14, 16, 12), strict=True)]
    return f"{name:<44}" + "".join(" " * width if e is None else f"{e:>{width}.4g}" for e, width in cells)


def measure(command: list[str]) -> tuple[float, float, str]:
    """Wall seconds, peak resident megabytes and output of one process."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command} ended with {process.returncode}"
        output.seek(0)
        return seconds, usage.ru_maxrss / 1024, output.read()


def plain(service: str, data: Path, seed: int) -> dict[str, object]:
    """Three separate models, the plain way; validation error of the mean of the next 30 steps."""
    frame = read_dataset(service, data)
    response = LoadResponse.fit(frame, read_cards(service, data))
    pieces = longest_pieces(segments(frame))
    split = split_cells(response.runs, seed=seed)
    columns = known_columns(pieces)
    parts = {
        name: [piece for piece in pieces if piece.name in names]
        for name, names in (("fit", split.fit), ("choose", split.choose), ("score", split.score or split.choose))
    }
    fit = window_pairs(parts["fit"], columns, TARGETS, min_target=MIN_TARGET_STEPS)
    check = window_pairs(parts["choose"], columns, TARGETS, min_target=MIN_TARGET_STEPS)
    inputs = MinMaxScaler.fit(fit.inputs)
    keras = load_keras(by="This benchmark")
    runs = {run.experiment_id: run for run in response.runs}
    errors, fit_seconds, epochs = {}, 0.0, {}
    for index, target in enumerate(TARGETS):
        # As in MOrA's own table: limit-bound runs are not scored.
        scored = [p for p in parts["score"] if target is Target.REPLICAS or not is_pinned(runs[p.name], target)]
        score = window_pairs(scored, columns, TARGETS)
        outputs = MinMaxScaler.fit(fit.futures[:, index, :1])
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input(fit.inputs.shape[1:]),
                layers.LSTM(64, return_sequences=True),
                layers.Dropout(0.2),
                layers.LSTM(32),
                layers.Dropout(0.2),
                layers.Dense(16, activation="relu"),
                layers.Dense(1),
            ]
        )
        model.compile(optimizer="adam", loss="mse")
        start = time.perf_counter()
        fitted = model.fit(
            inputs.scale(fit.inputs),
            outputs.scale(fit.futures[:, index, :1]),
            validation_data=(inputs.scale(check.inputs), outputs.scale(check.futures[:, index, :1])),
            epochs=50,
            batch_size=32,
            verbose=0,
            callbacks=[
                keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3),
            ],
        )
        fit_seconds += time.perf_counter() - start
        epochs[target.value] = len(fitted.history["loss"])
        said = outputs.restore(model.predict(inputs.scale(score.inputs), verbose=0))
        errors[target.value] = float(np.abs(said[:, 0] - score.futures[:, index, 0]).mean())
    return {"errors": errors, "fit_seconds": fit_seconds, "epochs": epochs}


if __name__ == "__main__":
    main()
