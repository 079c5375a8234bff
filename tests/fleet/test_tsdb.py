"""The blocks that the rig writes are what Prometheus' own promtool would have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.fleet.tsdb import Floats, Group, write_block
from tests.sources.rig import Series, backfill, serve

START = 1_790_000_000.0
COUNT = 1000


def raw(url: str) -> dict[str, list[Any]]:
    """Every sample there is, by labels."""
    params: dict[str, str | float] = {"query": '{__name__=~".+"}[12h]', "time": START + COUNT * 30}
    result = requests.get(f"{url}/api/v1/query", params=params, timeout=10).json()["data"]["result"]
    return {json.dumps(series["metric"], sort_keys=True): series["values"] for series in result}


def test_a_block_is_what_promtool_backfills_from_the_same_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values: Floats = np.cumsum(rng.integers(0, 1000, (3, COUNT)), axis=1).astype(np.float64) / 1000
    groups = [
        Group([{"__name__": "used", "pod": f"p{n}"} for n in range(3)], START, 30, values),
        Group([{"__name__": "up", "pod": "p0"}], START + 7, 30, np.ones(1, dtype=np.float64), samples=777),
        Group([{"__name__": "once", "pod": "p0"}], START + 60, 30, np.full((1, 1), 2.5, dtype=np.float64)),
        # A series with a gap, and one after it of another length.
        Group([{"__name__": "gap"}], START, 30, values[:1, :130]),
        Group([{"__name__": "gap"}], START + 300 * 30, 30, values[:1, 300:500]),
    ]
    spans: list[tuple[float, Floats, dict[str, str]]]
    spans = [(START, values[n], {"__name__": "used", "pod": f"p{n}"}) for n in range(3)]
    spans += [(START + 7, np.ones(777), {"__name__": "up", "pod": "p0"})]
    spans += [(START + 60, np.array([2.5]), {"__name__": "once", "pod": "p0"})]
    spans += [
        (START, values[0, :130], {"__name__": "gap"}),
        (START + 300 * 30, values[0, 300:500], {"__name__": "gap"}),
    ]
    series = [
        Series(
            labels["__name__"],
            {name: value for name, value in labels.items() if name != "__name__"},
            lambda at, since=since, own=own: float(own[round((at - since) / 30)]),  # type: ignore[misc]  # bound here
            since,
            since + (len(own) - 1) * 30,
            30,
        )
        for since, own, labels in spans
    ]
    write_block(groups, tmp_path / "ours" / "tsdb")
    (tmp_path / "theirs").mkdir()
    with serve(tmp_path / "ours" / "tsdb") as url:
        ours = raw(url)
    with serve(backfill(series, tmp_path / "theirs")) as url:
        theirs = raw(url)
    assert ours == theirs
    assert sum(len(samples) for samples in ours.values()) == 3 * COUNT + 777 + 1 + 330


@pytest.mark.parametrize("samples", [1, 2, 119, 120, 121])
def test_chunks_of_every_length_are_read_back(tmp_path: Path, samples: int) -> None:
    values = np.linspace(-1, 1, samples)
    write_block([Group([{"__name__": "x"}], START, 30, values[np.newaxis])], tmp_path / "tsdb")
    with serve(tmp_path / "tsdb") as url:
        (found,) = raw(url).values()
    assert [float(value) for _, value in found] == values.tolist()
