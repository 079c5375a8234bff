"""The prior of MOrA's confidence and bounds: how often the same rule covered the use of many other services.

Where a service's own past is short, confidence leans on the rate p that the same rule reached elsewhere, and the bound
on how far use rose above its point forecast elsewhere. This script measures both on recorded traces and prints what
mora/model/settings.py then holds as constants. Run it again where the rule changes:

    python experiments/benchmarks/prior.py [--traces ../shared/traces] [--series 40]

- *observed*: vms.parquet (business VMs, 300 s) by days, boutique_pods.parquet (Online Boutique, 60 s) by hours. At
  every window the point forecast is 0.4 x the mean of the last seven windows + 0.6 x the mean of the last one (what
  Prophet's level and the LSTM's come to without their fits, which would take hours), the bound is the conformal
  multiplier of the twelve windows before, memory is at least the peak of the last seven.
- *driven*: sockshop.parquet (Sock Shop under constant load, 30 s). The second half of each run is predicted from its
  first; the multiplier is that of the other services (a service never calibrates itself).
- *replicas*: sockshop_replicas.parquet. Windows of one replica count at up to 70 % CPU; covered is a mean p95 within
  300 ms.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mora.coverage import needed_cpu_cores, needed_memory_bytes
from mora.domain import Target
from mora.fusion import conformal_multiplier
from mora.model.calibration import request
from mora.policies import PolicySettings

POLICY = PolicySettings()
NEEDED = {Target.CPU: needed_cpu_cores, Target.MEMORY: needed_memory_bytes}
LEVEL = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=40, help="VMs to sample, evenly")
    options = parser.parse_args()
    if not options.traces.is_dir():
        raise SystemExit(f"Skipped: there is no folder of traces at {options.traces} (see --traces, MORA_TRACES).")
    print(f"{'what':<34}{'series':>7}{'windows':>8}{'kept':>8}{'x point_forecast, 9 of 10':>20}")
    for target in (Target.CPU, Target.MEMORY):
        tell(
            f"{target.value}, observed, VMs by day", list(observed(vms(options.traces, options.series), target, 86_400))
        )
        tell(f"{target.value}, observed, pods by hour", list(observed(pods(options.traces), target, 3_600)))
        tell(f"{target.value}, driven, Sock Shop", driven(options.traces, target))
    replicas(options.traces)


def tell(what: str, series: list[tuple[list[bool], list[float]]]) -> None:
    """Rates and ratios, every series weighing the same."""
    series = [(kept, ratios) for kept, ratios in series if kept]
    rate = np.mean([np.mean(kept) for kept, _ in series])
    reach = np.mean([np.quantile(ratios, LEVEL) for _, ratios in series])
    pooled = np.quantile(np.concatenate([ratios for _, ratios in series]), LEVEL)
    windows = sum(len(kept) for kept, _ in series)
    print(f"{what:<34}{len(series):>7}{windows:>7}{rate:>8.3f}{pooled:>13.3f} (mean {reach:.3f})")


def vms(folder: Path, count: int) -> Iterator[pd.DataFrame]:
    frame = pd.read_parquet(folder / "vms.parquet", columns=["series_id", "timestamp", "cpu", "mem"])
    names = sorted(frame["series_id"].unique())
    for name in names[:: max(len(names) // count, 1)]:
        yield frame[frame["series_id"] == name]


def pods(folder: Path) -> Iterator[pd.DataFrame]:
    frame = pd.read_parquet(folder / "boutique_pods.parquet", columns=["series_id", "timestamp", "cpu", "mem", "label"])
    for _, rows in frame.groupby("series_id", observed=True):
        yield rows


def observed(
    series: Iterator[pd.DataFrame], target: Target, horizon_seconds: float
) -> Iterator[tuple[list[bool], list[float]]]:
    """(covered per window, needed over point forecast per window) of every series."""
    column = "cpu" if target is Target.CPU else "mem"
    for rows in series:
        seconds, values = rows["timestamp"].to_numpy(dtype=np.float64), rows[column].to_numpy(dtype=np.float64)
        slots = ((seconds - seconds[0]) // horizon_seconds).astype(int)
        windows = [values[(slots == slot) & ~np.isnan(values)] for slot in range(slots.max() + 1)]
        windows = [horizon for horizon in windows if len(horizon) >= 30]
        kept, needed, point_forecasts = [], [], []
        for index in range(7, len(windows)):
            week = windows[index - 7 : index]
            point_forecast = 0.4 * float(np.mean(np.concatenate(week))) + 0.6 * float(week[-1].mean())
            need = NEEDED[target](windows[index])
            if len(needed) >= 9:
                ages = [0.5 ** ((len(needed) - at) / 7) for at in range(max(len(needed) - 12, 0), len(needed))]
                multiplier, _ = conformal_multiplier(needed[-12:], point_forecasts[-12:], weights=ages, prior=1.0)
                floor = max(float(horizon.max()) for horizon in week) if target is Target.MEMORY else 0.0
                kept.append(
                    request(target, point_forecast, point_forecast * multiplier, floor, POLICY) >= need * (1 - 1e-9)
                )
            needed.append(need)
            point_forecasts.append(point_forecast)
        ratios = [
            need / point_forecast
            for need, point_forecast in zip(needed, point_forecasts, strict=True)
            if point_forecast > 0
        ]
        yield kept, ratios


def driven(folder: Path, target: Target) -> list[tuple[list[bool], list[float]]]:
    """As observed(), of the second halves of constant-load runs."""
    column = "cpu" if target is Target.CPU else "mem"
    frame = pd.read_parquet(
        folder / "sockshop.parquet", columns=["series_id", "run", "service", "timestamp", "cpu", "mem"]
    )
    frame = frame[frame["run"].astype(str).str.contains("constant")]
    found: dict[str, list[tuple[float, float, float]]] = {}
    for (_, service), rows in frame.groupby(["run", "service"], observed=True):
        values = rows.sort_values("timestamp")[column].dropna().to_numpy(dtype=np.float64)
        # The first fifth is the ramp; MOrA does not measure it either.
        values = values[len(values) // 5 :]
        before, ahead = values[: len(values) // 2], values[len(values) // 2 :]
        if len(before) >= 8 and before.mean() > 0:
            found.setdefault(str(service), []).append(
                (float(before.mean()), NEEDED[target](ahead), float(before.max()))
            )
    series = []
    for service, own in sorted(found.items()):
        others = [horizon for name, windows in found.items() if name != service for horizon in windows]
        multiplier, _ = conformal_multiplier(
            [need for _, need, _ in others], [point_forecast for point_forecast, _, _ in others]
        )
        floor = [peak if target is Target.MEMORY else 0.0 for _, _, peak in own]
        kept = [
            request(target, point_forecast, point_forecast * multiplier, least, POLICY) >= need * (1 - 1e-9)
            for (point_forecast, need, _), least in zip(own, floor, strict=True)
        ]
        series.append((kept, [need / point_forecast for point_forecast, need, _ in own]))
    return series


def replicas(folder: Path) -> None:
    frame = pd.read_parquet(folder / "sockshop_replicas.parquet")
    kept, series = [], set()
    for name, rows in frame.groupby("series_id", observed=True):
        rows = rows.sort_values("timestamp")
        stretches = (rows["replicas"].diff() != 0).cumsum()
        for _, stretch in rows.groupby(stretches):
            if len(stretch) >= 4 and stretch["cpu_pct"].mean() <= 70 and stretch["p95_ms"].gt(0).any():
                kept.append(bool(stretch["p95_ms"].mean() <= 300))
                series.add(name)
    print(f"{'replicas, Sock Shop, <= 70 % CPU':<34}{len(series):>7}{len(kept):>7}{np.mean(kept):>8.3f}")


if __name__ == "__main__":
    main()
