"""Made-up histories of a service, their last day as it was or changed, and a model that needs nothing heavy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from mora.model import ServiceModel, TrainSettings, train
from tests import fakes_learning as fakes

Change = Literal["none", "level", "season", "variance", "leak"]
DAY = 288


def history(change: Change = "none", *, days: int = 24, seed: int = 0) -> pd.DataFrame:
    """Rows every five minutes; what changes begins a day before their end."""
    frame = fakes.observed(days=days, seed=seed)
    memory = frame["mem_bytes_value"].to_numpy().copy()
    hours = np.arange(len(frame)) / 12
    noise = np.random.default_rng(seed).normal(size=len(frame))
    cpu = 0.2 * (1 + 0.4 * np.sin(2 * np.pi * hours / 24)) * (1 + 0.1 * noise)
    if change == "level":
        cpu[-DAY:] *= 1.5
    elif change == "season":
        cpu[-DAY:], memory[-DAY:] = cpu[-DAY - 72 : -72].copy(), memory[-DAY - 72 : -72].copy()
    elif change == "variance":
        rows = cpu[-DAY:].reshape(24, 12)
        cpu[-DAY:] = (rows.mean(1)[:, None] + 3**0.5 * (rows - rows.mean(1)[:, None])).ravel()
    elif change == "leak":
        memory[-DAY:] += np.linspace(0, 0.5, DAY) * memory.mean()
    return frame.assign(cpu_cores_value=cpu, mem_bytes_value=np.round(memory))


def trained(frame: pd.DataFrame, *, until_days: float) -> ServiceModel:
    """A model of the first days; the naive forecast alone, which needs neither TensorFlow nor Prophet."""
    end = frame["timestamp"].iloc[0] + pd.Timedelta(days=until_days)
    past = frame[frame["timestamp"] < end]
    return train(past, {}, fakes.WORKLOAD, settings=TrainSettings(weights={"naive": 1.0}))
