"""KRR and the VPA cost on recorded traces what they cost where their rules were first written (SCIENCE.md)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.backtest.policy import decide, load_policy
from mora.backtest.scoring import oracle, score, score_series, scored_samples
from mora.backtest.traces import read_trace_file

ROOT = Path(__file__).resolve().parent.parent.parent
VMS = Path(os.environ.get("MORA_TRACES", ROOT / ".." / "shared" / "traces")) / "vms.parquet"
# 94 of the 100: those with a mean use of this many cores or more.
BUSY_CORES = 0.02


@pytest.mark.skipif(not VMS.is_file(), reason=f"no traces in {VMS.parent}: set MORA_TRACES")
def test_peers_cost_what_they_cost_in_the_first_experiments() -> None:
    """Daily from day 8, history filled forward as it was there: KRR 3.476, VPA 1.039 of its cost - 1, oracle 0.618."""
    series = [one for one in read_trace_file(VMS) if one.cpu is not None and np.nanmean(one.cpu) >= BUSY_CORES]
    assert len(series) == 94
    decisions = decide(series, horizon_seconds=86400, warmup_seconds=8 * 86400, with_minimums=False)
    filled = [replace(one, cpu=pd.Series(one.use("cpu")).ffill().to_numpy()) for one in series]
    samples = [
        scored_samples(one, "cpu", at, until)
        for one, at, until in zip(series, decisions.at, decisions.until, strict=True)
    ]
    answers = {name: load_policy(name).reservations(filled, "cpu", decisions) for name in ("krr", "vpa")}
    answers["oracle"] = [oracle(scored, len(at)) for scored, at in zip(samples, decisions.at, strict=True)]
    cost = {}
    for name, found in answers.items():
        total = score([score_series(one, reserved) for one, reserved in zip(samples, found, strict=True)])
        assert total is not None
        cost[name] = total.cost
    assert cost["krr"] == pytest.approx(3.476, abs=0.0005)
    assert (cost["vpa"] - 1) / (cost["krr"] - 1) == pytest.approx(1.039, abs=0.001)
    assert (cost["oracle"] - 1) / (cost["krr"] - 1) == pytest.approx(0.618, abs=0.001)
