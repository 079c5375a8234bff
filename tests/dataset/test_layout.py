"""Where the CSVs are, which columns come first, and which files are experiments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mora.dataset import (
    is_finished,
    list_services,
    read_dataset,
    read_experiment,
    write_experiment,
)
from mora.metrics import ALL_COLUMNS, CORE_COLUMNS
from tests.dataset.making import make_card, make_frame, write


def test_the_eighteen_columns_come_first_and_empty_extras_are_left_out(tmp_path: Path) -> None:
    frame = make_frame()
    frame["latency_p99_seconds"] = np.nan
    path = write(tmp_path, frame)
    header = path.read_text().split("\n")[0].split(",")
    assert tuple(header[:18]) == CORE_COLUMNS
    assert "latency_p99_seconds" not in header
    assert list(read_experiment(path).columns) == list(ALL_COLUMNS)
    assert read_experiment(path)["latency_p99_seconds"].isna().all()


def test_a_namespace_has_a_folder_of_its_own(tmp_path: Path) -> None:
    frame = make_frame()
    write(tmp_path, frame)
    path = write_experiment(tmp_path, make_frame(rows=3), make_card(frame), namespace="shop")
    assert path.parent == tmp_path / "shop/frontend"
    assert len(read_dataset("frontend", tmp_path, namespace="shop")) == 3
    assert list_services(tmp_path) == ["frontend"]
    assert list_services(tmp_path, namespace="shop") == ["frontend"]
    assert list_services(tmp_path, namespace="other") == []


def test_other_containers_files_are_no_experiments(tmp_path: Path) -> None:
    frame = make_frame()
    containers = pd.DataFrame(
        {"timestamp": frame["timestamp"], "container": "proxy", "cpu_cores": 0.1, "mem_bytes": 1e6}
    ).assign(cpu_request_cores=np.nan, cpu_limit_cores=np.nan, mem_request_bytes=np.nan, mem_limit_bytes=np.nan)
    path = write_experiment(tmp_path, frame, make_card(frame), containers)
    text = path.with_name(f"{path.stem}.containers.csv").read_text()
    assert text.split("\n")[1] == "2026-11-01T12:00:00Z,proxy,0.1,1000000,,,,"
    assert len(read_dataset("frontend", tmp_path)) == 20


def test_a_csv_without_its_json_was_never_finished(written: Path, tmp_path: Path) -> None:
    assert is_finished(tmp_path, "frontend", written.stem)
    written.with_suffix(".json").unlink()
    assert not is_finished(tmp_path, "frontend", written.stem)
