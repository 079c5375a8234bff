"""`mora health predict` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.running import mora


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("predict")
    done = mora("health", "generate", "nodes", "--out", "nodes.csv", cwd=made)
    assert done.returncode == 0, done.stderr
    return made


def test_a_csv_becomes_predictions(folder: Path) -> None:
    done = mora("health", "predict", "nodes.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "predictions.csv: 5,250 rows, 250 flagged (4.8%). In anomaly_score lower is more abnormal." in done.stdout
    assert "By the labels in is_anomaly: precision 1.000, recall 1.000, F1 1.000." in done.stdout
    assert "The best rule of one metric, chosen by the labels: cpu_percent > 82" in done.stdout
    assert "learnt from nodes.csv itself" in done.stderr
    found = pd.read_csv(folder / "predictions.csv")
    assert (found["predicted_anomaly"] == found["is_anomaly"]).all()
    assert (found["predicted_anomaly"] == (found["anomaly_score"] < 0)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nodes.csv", "--out", "nodes.csv"), "nodes.csv is the file that is read"),
        (("none.csv",), "There is no file none.csv."),
        (("nodes.txt",), "neither a .csv nor a .parquet file"),
        (("nodes.csv", "-d", "magic"), "There is no 'magic' among the detectors."),
        (("nodes.csv", "-d", "context-distance"), "lack the column timestamp"),
        (("nodes.csv", "-c", "disk"), "lacks the metric disk"),
        (("nodes.csv", "--contamination", "2"), "contamination of 2"),
    ],
)
def test_what_cannot_be_predicted_is_an_error_and_writes_nothing(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = (folder / "nodes.csv").read_bytes()
    refused = mora("health", "predict", *arguments, *([] if "--out" in arguments else ["--out", "x.csv"]), cwd=folder)
    assert refused.returncode == 1
    assert message in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert not (folder / "x.csv").exists()
    assert (folder / "nodes.csv").read_bytes() == before
