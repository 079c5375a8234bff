"""How long one recommendation takes, cold and warm, beside the same through Keras.

    python experiments/benchmarks/recommend_latency.py [--service frontend] [--data data] [--models models]

Promised on two cores: 1.5 s and 200 MB from a cold start, TensorFlow not imported; 10 ms in a warm process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

COLD_RUNS = 5
WARM_RUNS = 50

# What a program does that asks Keras: import it, build the network, pour the saved weights in, predict.
THROUGH_KERAS = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {folder!r})
from forward_pass import pour
from mora.dataset import read_dataset
from mora.features import segments
from mora.networks.keras_room import load_keras
from mora.model import ServiceModel
model = ServiceModel.load({model!r})
frame = read_dataset({service!r}, {data!r})
network = model.forecasters["lstm"].network
window = network.inputs.scale(segments(frame)[0].cut(0, 30).matrix(network.columns))[None]
pour(load_keras(by="This benchmark"), network, window.shape[1:]).predict(window.astype(np.float32), verbose=0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="frontend")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    folder = options.models / options.service
    keras = THROUGH_KERAS.format(
        folder=str(Path(__file__).parent), model=str(folder), service=options.service, data=str(options.data)
    )
    ours = [sys.executable, "-m", "mora", "recommend", options.service, "-o", "json"]
    ours += ["--data", str(options.data), "--models", str(options.models)]
    print(f"{'cold start, median of ' + str(COLD_RUNS):<44}{'s':>8}{'peak MB':>10}   target")
    for name, command, target in (
        ("python -c pass", [sys.executable, "-c", "pass"], ""),
        (f"mora recommend {options.service} -o json", ours, "1.5 s, 200 MB"),
        ("the same windows through Keras", [sys.executable, "-c", keras], ""),
    ):
        runs = [measure(command) for _ in range(COLD_RUNS)]
        print(f"{name:<44}{median(s for s, _ in runs):>8.2f}{median(mb for _, mb in runs):>10.0f}   {target}")
    warm(options.service, options.data, folder)


def measure(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident megabytes of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return seconds, usage.ru_maxrss / 1024


def warm(service: str, data: Path, folder: Path) -> None:
    # Only now: a child's peak starts from its parent's size.
    from mora.dataset import read_dataset
    from mora.model import ServiceModel
    from mora.model.freshness import measured_allocation
    from mora.policies import recommend

    model = ServiceModel.load(folder)
    frame = read_dataset(service, data)
    current = measured_allocation(model)
    recommend(model.demand(frame), current)
    times = []
    for _ in range(WARM_RUNS):
        start = time.perf_counter()
        recommend(model.demand(frame), current)
        times.append((time.perf_counter() - start) * 1000)
    print(f"\n{'warm, demand and policy, median of ' + str(WARM_RUNS):<44}{median(times):>8.2f} ms   target 10 ms")
    assert not {"tensorflow", "prophet", "sklearn"} & set(sys.modules), "a heavy library was imported to answer"


if __name__ == "__main__":
    main()
