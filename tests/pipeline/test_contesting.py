"""Comparing forecasters: here, in processes, and on the workers of a real cluster, always with the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from mora import dataset, pipeline
from mora.contest.text import document
from mora.errors import BadDataset, BadInput
from mora.pipeline.contesting import group_of
from tests import fakes_learning as fakes
from tests.contest.making import wave
from tests.scaleout.rig import rig

CHEAP = ("yesterday", "moving-average")
# What differs from run to run.
_TIMES = ("fit_seconds", "ask_seconds", "bytes")


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    frames = []
    for number, name in enumerate(("a/0", "a/1", "b/0")):
        one = wave(6.0, name=name, seed=number).series
        at = one.start + one.step_seconds * pd.RangeIndex(one.sample_count)
        frames.append(pd.DataFrame({"series_id": name, "timestamp": at, "cpu": one.cpu}))
    pd.concat(frames).to_csv(folder / "many.csv", index=False)
    return folder / "many.csv"


def figures(found: pipeline.ContestResult) -> list[object]:
    """Everything but times."""
    rows = [row for table in document(found.comparison)["tables"] for row in table["rows"]]
    return [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]


def compare(targets: Sequence[str | Path], **options: object) -> pipeline.ContestResult:
    return pipeline.compare_forecasters([str(one) for one in targets], models=CHEAP, **options)  # type: ignore[arg-type]


def test_processes_give_the_numbers_that_one_gives(traces: Path) -> None:
    alone = compare([traces])
    assert figures(compare([traces], jobs=2)) == figures(alone)
    assert [group_of(name) for name in alone.comparison.series] == ["a", "a", "b"]
    assert [one.windows.group for one in alone.comparison.tables[0].contests] == ["a", "a", "b"]


@pytest.mark.slow
def test_the_workers_of_a_cluster_give_the_same_and_a_contest_goes_on_there(traces: Path, tmp_path: Path) -> None:
    alone = compare([traces])
    (tmp_path / "dask").mkdir()
    with rig(tmp_path / "dask", workers=2) as cluster:
        first = compare([traces], scheduler=cluster.address, cache_dir=tmp_path / "kept", series="2")
        assert len(first.comparison.series) == 2
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
        whole = compare([traces], scheduler=cluster.address, cache_dir=tmp_path / "kept")
    assert figures(whole) == figures(alone)
    # What was answered before was not asked again.
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list((tmp_path / "kept").iterdir())) == 1.5 * len(kept)


def test_a_service_without_history_is_skipped_beside_others_and_refused_alone(tmp_path: Path) -> None:
    frame = fakes.observed(days=5)
    card = {"service": "frontend", "experiment_id": str(frame["experiment_id"].iloc[0])}
    dataset.write_experiment(tmp_path, frame, card)
    options = {"data_dir": tmp_path, "horizons": [pd.Timedelta(hours=1).to_pytimedelta()]}
    found = compare(["frontend", "nowhere"], **options)
    assert found.comparison.series == ["frontend"]
    assert any("nowhere" in line for line in found.comparison.skipped)
    # A service's history has all its metrics, not CPU and memory alone.
    assert "net_rx_bytes_value" in found.histories[0].columns
    with pytest.raises(BadDataset, match="nowhere"):
        compare(["nowhere"], **options)


def test_nothing_to_compare_on_is_an_error() -> None:
    with pytest.raises(BadInput, match="Compare on what"):
        compare([])
