"""Grafana's rules give what they are written to give, window by window."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.grafana_rules import GrafanaAdaptive, GrafanaRobust
from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData


def frame(days: float = 9, seed: int = 0, step: int = 300) -> pd.DataFrame:
    rows = int(days * 86_400 / step)
    rng = np.random.default_rng(seed)
    wave = 2 + np.sin(2 * np.pi * np.arange(rows) * step / 86_400)
    moments = pd.date_range("2026-01-01", periods=rows, freq=f"{step}s", tz="UTC")
    return pd.DataFrame({"timestamp": moments, "cpu": wave + rng.normal(0, 0.05, rows)})


def slow_adaptive(frame: pd.DataFrame, row: int) -> float:
    """The score of one row by the rules as they are written, one window after another."""
    seconds = frame["timestamp"].to_numpy(dtype="datetime64[s]").astype(float)
    values = frame["cpu"].to_numpy()

    def window(at: float, span: float) -> np.ndarray:
        return values[(seconds > at - span) & (seconds <= at)]

    def turbulence(at: float) -> float:
        part = window(at, 3600)
        return part.std() if part.std() > 0.5 * part.mean() else np.nan

    now = seconds[row]
    mean = window(now, 3600).mean()
    turbulent = [turbulence(at) for at in seconds[(seconds > now - 26 * 3600) & (seconds <= now)]]
    known = [one for one in turbulent if np.isfinite(one)]
    upper, lower = [1.5 * mean], [0.5 * mean]
    if known:
        upper.append(mean + 2 * np.mean(known))
        lower.append(mean - 2 * np.mean(known))
    for offset in (167.5 * 3600, 23.5 * 3600):
        then = window(now - offset, 3600)
        if len(then):
            upper.append(then.mean() + 2 * then.std())
            lower.append(then.mean() - 2 * then.std())
    top, bottom = max(upper), max(min(lower), 0.0)
    level = values[row]
    return float(max((level - mean) / (top - mean), (mean - level) / (mean - bottom), 0.0))


@pytest.mark.parametrize("row", [5, 200, 400, 2100, 2500])
def test_the_adaptive_rules_are_those_that_are_written(row: int) -> None:
    data = frame()
    # Turbulent hours on the first day and on the last.
    data["cpu"] = np.where(
        np.arange(len(data)) % 2190 < 30, data["cpu"] * np.where(np.arange(len(data)) % 2, 4, 0.5), data["cpu"]
    )
    detector = GrafanaAdaptive()
    detector.fit(data)
    assert detector.score(data)[row] == pytest.approx(slow_adaptive(data, row), rel=1e-9)


@pytest.mark.parametrize("row", [300, 2300])
def test_the_robust_rules_are_those_that_are_written(row: int) -> None:
    data = frame()
    data["cpu"] = np.where(np.arange(len(data)) % 2300 > 2290, 5.0, data["cpu"])
    detector = GrafanaRobust()
    detector.fit(data)
    cpu = pd.Series(data["cpu"].to_numpy(), index=pd.DatetimeIndex(data["timestamp"]))
    day, hour = cpu.rolling("1D").median(), cpu.rolling("1h").median()
    mad, mad_hour = (cpu - day).abs().rolling("1D").median(), (cpu - hour).abs().rolling("1h").median()
    at = cpu.index[row]
    upper, lower = [1.5 * day[at], day[at] + 2 * mad[at]], [0.5 * day[at], day[at] - 2 * mad[at]]
    for offset in ("167h45min", "23h45min"):
        then = at - pd.Timedelta(offset)
        if then >= cpu.index[0]:
            upper.append(hour[then] + 2 * mad_hour[then])
            lower.append(hour[then] - 2 * mad_hour[then])
    above, below = (hour[at] - day[at]) / (max(upper) - day[at]), (day[at] - hour[at]) / (day[at] - max(min(lower), 0))
    assert detector.score(data)[row] == pytest.approx(max(above, below, 0), rel=1e-9)


@pytest.mark.parametrize("kind", [GrafanaAdaptive, GrafanaRobust])
def test_a_surge_that_was_there_yesterday_is_inside_the_band(kind: type[GrafanaAdaptive]) -> None:
    data = frame(3)
    at = np.arange(len(data))
    often, once = ((at % 288 > 200) & (at % 288 < 240), (at > 2 * 288 + 200) & (at < 2 * 288 + 240))
    detector = kind()
    detector.fit(data)
    daily, new = (detector.score(data.assign(cpu=np.where(up, 6.0, data["cpu"]))) for up in (often, once))
    # The rules know the same hour of yesterday, not the same minute: its first minutes count as a surge each day.
    assert daily[2 * 288 + 214 : 2 * 288 + 239].max() <= 1
    assert new[2 * 288 + 201 : 2 * 288 + 239].max() > 1.5


def test_an_idle_metric_has_no_alert_and_an_unknown_one_no_score() -> None:
    data = frame(2)
    detector = GrafanaAdaptive()
    detector.fit(data)
    at = np.arange(len(data))
    scores = detector.score(data.assign(cpu=np.where(at < 300, 0.0, np.where(at < 400, np.nan, data["cpu"]))))
    assert (scores[:300] == 0).all()
    assert np.isnan(scores[300:400]).all()


def test_it_needs_a_step_and_a_few_samples() -> None:
    with pytest.raises(NotEnoughData, match="20 known samples"):
        GrafanaRobust().fit(frame(0.01))
    with pytest.raises(NotEnoughData, match="no step"):
        GrafanaRobust().fit(frame().assign(timestamp=pd.Timestamp("2026-01-01", tz="UTC")))


@pytest.mark.parametrize("change", [{"step_seconds": 0.0}, {"step_seconds": "often"}, {"columns": ["cpu", "mem"]}])
def test_what_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    detector = GrafanaRobust()
    detector.fit(frame(2))
    saved = detector.save()
    with pytest.raises(BadModel):
        GrafanaRobust().restore(Saved({**saved.document, **change}, saved.arrays))
