"""forecast-residual beside the forecast of a service's own model, and beside the stand-in, on VMs with injected faults.

    python experiments/benchmarks/health_own_forecast.py [--vms 12] [--detectors NAMES] [--jobs 2]

The recorded labelled sets are too short for a model: pods have eleven hours to learn from. So here each of some
recorded VMs has three weeks to learn from, and then a week with six faults: CPU without work, or memory that leaks, an
hour to eight long, 1 to 2 times as much as usual. What else the VM does in that week counts as healthy, so that false
alarms are overstated for all alike. `train=NAMES` trains a model as `mora train` does, on the first three quarters of
what the detector learns from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.health.compare_text import render_markdown
from mora.health.labelled import traces_folder
from mora.pipeline import cache_folder, compare_detectors

DETECTORS = "forecast-residual,forecast-residual:train=prophet,forecast-residual:train=prophet+xgboost,context-distance"
PER_DAY = 288
LEARNT, JUDGED = 21 * PER_DAY, 7 * PER_DAY
FAULTS = 6
SEED = 13


def with_faults(name: str, rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Four weeks of a VM: `split`, and `label` where a fault was put into the last of them."""
    rows = rows.sort_values("timestamp").iloc[: LEARNT + JUDGED]
    cpu, mem = (rows[column].to_numpy(dtype=np.float64).copy() for column in ("cpu", "mem"))
    label = np.zeros(len(rows), dtype=int)
    apart = JUDGED // FAULTS
    for number in range(FAULTS):
        length = int(random.integers(12, 96))
        begin = LEARNT + number * apart + int(random.integers(0, apart - length))
        part = slice(begin, begin + length)
        label[part] = 1
        if random.random() < 0.5:
            cpu[part] += float(np.nanmean(cpu[:LEARNT])) * random.uniform(1, 2)
        else:
            mem[part] += np.linspace(0, float(np.nanmean(mem[:LEARNT])) * random.uniform(1, 2), length)
    split = np.where(np.arange(len(rows)) < LEARNT, "train", "test")
    return pd.DataFrame(
        {
            "series_id": name,
            "timestamp": rows["timestamp"].to_numpy(),
            "cpu_cores_value": cpu,
            "mem_bytes_value": mem,
            "label": label,
            "split": split,
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=traces_folder())
    parser.add_argument("--vms", type=int, default=12, help="how many of the VMs, evenly spread")
    parser.add_argument("--detectors", default=DETECTORS, help="names with commas")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=cache_folder("compare"))
    asked = parser.parse_args()
    path = asked.traces / "vms.parquet"
    if not path.is_file():
        print(f"Skipped: there is no {path} (set MORA_TRACES).")
        return 0
    vms = dict(list(pd.read_parquet(path).groupby("series_id", observed=True)))
    chosen = [list(vms)[at] for at in np.linspace(0, len(vms) - 1, asked.vms).round().astype(int)]
    random = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vms.parquet"
        pd.concat([with_faults(str(name), vms[name], random) for name in chosen]).to_parquet(file)
        comparison = compare_detectors(
            [file],
            detectors=asked.detectors.split(","),
            reference="forecast-residual",
            jobs=asked.jobs,
            cache_dir=asked.cache,
        )
    print(render_markdown(comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
