"""Netdata's way: a sample is unusual where it is so for the models of all parts of the history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.netdata import MODELS, Netdata
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData


def frame(rows: int = 2000, seed: int = 0, burst: tuple[int, int] | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cpu = rng.normal(1, 0.02, rows)
    if burst:
        cpu[slice(*burst)] += rng.normal(0, 0.5, burst[1] - burst[0])
    moments = pd.date_range("2026-01-01", periods=rows, freq="60s", tz="UTC")
    return pd.DataFrame({"timestamp": moments, "cpu": cpu, "mem": rng.normal(5e8, 1e6, rows)})


def test_samples_like_those_of_the_history_stay_below_1() -> None:
    detector = Netdata()
    detector.fit(frame())
    scores = detector.score(frame(seed=1))
    assert np.nanquantile(scores, 0.99) < 1


def test_one_part_of_the_history_that_knew_it_is_enough_for_it_to_be_usual() -> None:
    odd = frame(seed=2, burst=(1000, 1100))
    calm, burst_once = Netdata(), Netdata()
    calm.fit(frame())
    burst_once.fit(frame(burst=(300, 700)))
    # The mean over two metrics: the one that jumps is ten times as far off as any before.
    assert np.nanmean(calm.score(odd)[1010:1100]) > 5
    assert np.nanmean(burst_once.score(odd)[1010:1100]) < 1


def test_a_level_is_not_looked_at() -> None:
    detector, data = Netdata(), frame()
    detector.fit(data)
    np.testing.assert_allclose(detector.score(data.assign(cpu=data["cpu"] + 7)), detector.score(data), atol=1e-9)


def test_scores_do_not_depend_on_the_unit() -> None:
    one, other, data = Netdata(), Netdata(), frame()
    one.fit(data)
    other.fit(data.assign(mem=data["mem"] / 2**20))
    np.testing.assert_allclose(other.score(data.assign(mem=data["mem"] / 2**20)), one.score(data), rtol=1e-6)


def test_a_metric_that_begins_to_move_is_unusual() -> None:
    detector, data = Netdata(), frame()[["timestamp"]].assign(cpu=3.0)
    detector.fit(data)
    assert np.nanmax(detector.score(data)) <= 1
    assert np.nanmax(detector.score(data.assign(cpu=np.where(np.arange(len(data)) < 1000, 3.0, 3.1)))) > 10


def test_it_needs_a_history() -> None:
    with pytest.raises(NotEnoughData, match="60 known samples"):
        Netdata().fit(frame(50))
    with pytest.raises(BadInput, match="not fitted"):
        Netdata().score(frame(50))


@pytest.mark.parametrize(
    ("name", "value"), [("most", np.zeros((MODELS, 2))), ("scale", np.zeros(2)), ("centres", np.zeros((2, 2)))]
)
def test_what_does_not_fit_together_is_refused(name: str, value: np.ndarray) -> None:
    detector = Netdata()
    detector.fit(frame())
    saved = detector.save()
    with pytest.raises(BadModel):
        Netdata().restore(Saved(saved.document, {**saved.arrays, name: value}))
