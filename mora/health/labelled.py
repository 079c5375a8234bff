"""Series with labelled anomalies, on which detectors are compared: three recorded sets, and files of your own.

The first part of each series is training data, whose labels are not looked at; the last quarter of it calibrates the
threshold. The rest is judged. The faults of the set `pods` were injected in its first five hours, so there the fifteen
quiet hours after them are the training data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.health.frames import NO_METRICS

TIMESTAMP, LABEL, SERIES, SPLIT = "timestamp", "label", "series_id", "split"
SUFFIXES = (".parquet", ".csv")
TRAIN_SHARE = 0.35
WINDOW = 24
# The share of the training rows that calibrates the threshold.
CALIBRATION_SHARE = 0.25
# Fewer rows to learn from than this tell nothing.
_LEAST_TRAINING = 80
_MOST_BYTES = 2 * 2**30
_QUIET_AFTER_ROWS = 300


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series of a set.

    frame: `timestamp` (UTC) and its metrics, a row a step. labels: True where something was wrong, shape (rows,). fit,
    calibrate, judge: the rows of each part. window: samples of tolerance of VUS-PR.
    """

    set_name: str
    id: str
    frame: pd.DataFrame
    labels: NDArray[np.bool_]
    fit: slice
    calibrate: slice
    judge: slice
    window: int

    @property
    def name(self) -> str:
        """Set and series, as `--only` names it."""
        return f"{self.set_name}/{self.id}"

    @property
    def seconds(self) -> NDArray[np.float64]:
        """When each row was taken, seconds since 1970."""
        moments = self.frame[TIMESTAMP].dt.tz_convert(None).to_numpy("datetime64[ns]")
        seconds: NDArray[np.float64] = moments.astype(np.int64) / 1e9
        return seconds


def traces_folder() -> Path:
    """Where the recorded sets lie: $MORA_TRACES, ../shared/traces by default."""
    return Path(os.environ.get("MORA_TRACES", Path("..") / "shared" / "traces"))


def check_set(name: str) -> None:
    """Raises BadInput where there is no recorded set of this name."""
    if name not in SETS:
        raise BadInput(f"There is no labelled set {name!r}.", hint=f"Known: {', '.join(SETS)}, or a file of your own.")


def read_set(name: str, folder: Path) -> list[LabelledSeries]:
    """The labelled series of a recorded set. Raises BadInput for an unknown name, or where the file is not there."""
    check_set(name)
    path = folder / _FILES[name]
    if not path.is_file():
        raise BadInput(
            f"The labelled set {name!r} is not there: {path} does not exist.",
            hint="Set MORA_TRACES to the folder of the traces, or compare on a labelled file of your own: "
            "mora health compare FILE.",
        )
    return [one for one in SETS[name](_read(path)) if one.labels[one.judge].any()]


def read_file(path: Path, *, train_share: float = TRAIN_SHARE, window: int = WINDOW) -> list[LabelledSeries]:
    """The labelled series of a file of your own, named like the file.

    Its columns: `timestamp` (dates or epoch seconds), `label` (0 or 1), any metrics as numbers, and, where it has
    several series, `series_id`. The first `train_share` of each series is training data, or the rows whose `split` is
    "train" where there is that column. Series without a label in the judged part are left out.
    """
    if not 0.05 <= train_share <= 0.9:
        raise BadInput(f"The share of training data must be from 0.05 to 0.9, not {train_share:g}.")
    if not 0 <= window <= 10_000:
        raise BadInput(f"The window of VUS-PR must be from 0 to 10000 samples, not {window}.")
    rows = _read(path)
    for column in (TIMESTAMP, LABEL):
        if column not in rows:
            raise BadDataset(
                f"{path.name} has no column {column!r}.",
                hint="A labelled file has the columns timestamp, label (0 or 1), one per metric, and series_id where "
                "it has several series.",
            )
    found = []
    for identity, part in _each(rows, path.stem):
        metrics = _metrics(part)
        train = _trained(part, train_share, f"{path.name}, series {identity!r}")
        found.append(_series(path.stem, identity, part, metrics, slice(0, train), slice(train, len(part)), window))
    labelled = [one for one in found if one.labels[one.judge].any()]
    if not labelled:
        raise NotEnoughData(
            f"{path.name} has no label in the judged part of any series.",
            hint="Without labels there is nothing to compare on. Judge more of it with a smaller --train-share.",
        )
    return labelled


# --- the recorded sets -----------------------------------------------------------------------------------------------


def _nab(rows: pd.DataFrame) -> Iterator[LabelledSeries]:
    for identity, part in _each(rows, "nab"):
        train = int(TRAIN_SHARE * len(part))
        yield _series("nab", identity, part, ["value"], slice(0, train), slice(train, len(part)), 100)


def _servers(rows: pd.DataFrame) -> Iterator[LabelledSeries]:
    for identity, part in _each(rows, "servers"):
        metrics = [name for name in _metrics(part) if name[0] == "m" and name[1:].isdigit()]
        train = _trained(part, TRAIN_SHARE, identity)
        yield _series("servers", identity, part, metrics, slice(0, train), slice(train, len(part)), 24)


# MOrA's own names where there is one.
_PODS = {
    "cpu": "cpu_cores_value",
    "mem": "mem_bytes_value",
    "net_rx": "net_rx_bytes_value",
    "net_tx": "net_tx_bytes_value",
    "podworkload_ops": "requests_per_second",
    "podserverlatencyp95_s": "latency_p95_seconds",
    "podclientlatencyp95_s": "client_latency_p95_seconds",
}


def _pods(rows: pd.DataFrame) -> Iterator[LabelledSeries]:
    for identity, part in _each(rows.rename(columns=_PODS), "pods"):
        quiet = slice(_QUIET_AFTER_ROWS, len(part))
        yield _series("pods", identity, part, list(_PODS.values()), quiet, slice(0, _QUIET_AFTER_ROWS), 10)


SETS: dict[str, Callable[[pd.DataFrame], Iterator[LabelledSeries]]] = {
    "nab": _nab,
    "servers": _servers,
    "pods": _pods,
}
_FILES = {"nab": "anomaly_nab.parquet", "servers": "anomaly_servers.parquet", "pods": "boutique_pods.parquet"}


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadDataset(f"{path.name} is larger than the 2 GiB that are read.", hint="Cut it into pieces.")
        return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    except OSError as wrong:
        raise BadDataset(
            f"{path} cannot be read: {wrong.strerror or wrong}.", hint="Name a .parquet or .csv file."
        ) from wrong
    # What a damaged file makes pandas and pyarrow raise is no short list.
    except (ValueError, KeyError, TypeError) as wrong:
        raise BadDataset(
            f"{path} cannot be read as {'Parquet' if path.suffix.lower() == '.parquet' else 'CSV'}: "
            f"{str(wrong).splitlines()[0] if str(wrong) else type(wrong).__name__}.",
            hint="Name a whole .parquet or .csv file.",
        ) from wrong


def _each(rows: pd.DataFrame, otherwise: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The series of a file in the order of their names, each in the order of time, a row a moment."""
    if SERIES in rows and rows[SERIES].isna().any():
        raise BadDataset(
            f"{int(rows[SERIES].isna().sum())} rows have no {SERIES}.", hint="Delete the rows, or fill them in."
        )
    groups = [(otherwise, rows)] if SERIES not in rows else rows.groupby(SERIES, observed=True, sort=True)
    for identity, part in groups:
        ordered = part.assign(**{TIMESTAMP: _moments(part[TIMESTAMP])}).sort_values(TIMESTAMP, kind="stable")
        yield str(identity), ordered.drop_duplicates(TIMESTAMP, keep="last").reset_index(drop=True)


def _moments(column: pd.Series) -> pd.Series:
    is_number = pd.api.types.is_numeric_dtype(column)
    try:
        moments = pd.to_datetime(column, utc=True, unit="s" if is_number else None)
    except (ValueError, OverflowError) as wrong:
        raise BadDataset(
            f"A timestamp cannot be read: {str(wrong).splitlines()[0]}.",
            hint="Give dates such as 2026-01-31T10:00:00Z, or seconds since 1970.",
        ) from wrong
    if moments.isna().any():
        raise BadDataset(
            f"{int(moments.isna().sum())} rows have no timestamp.", hint="Delete the rows, or fill them in."
        )
    return moments


def _metrics(part: pd.DataFrame) -> list[str]:
    metrics = [
        str(name) for name in part.select_dtypes("number").columns if name not in (TIMESTAMP, SERIES, *NO_METRICS)
    ]
    known = [name for name in metrics if part[name].notna().any()]
    if not known:
        raise BadDataset("The file has no metric.", hint="Beside timestamp and label it needs a column of numbers.")
    return known


def _trained(part: pd.DataFrame, share: float, where: str) -> int:
    """How many rows at the beginning are training data."""
    if SPLIT not in part:
        return int(share * len(part))
    is_training = (part[SPLIT] == "train").to_numpy()
    count = int(is_training.sum())
    if not is_training[:count].all():
        raise BadDataset(
            f"In {where}, rows with the split 'train' follow others.", hint="Training data must come first in time."
        )
    return count


def _series(
    set_name: str,
    identity: str,
    part: pd.DataFrame,
    metrics: Sequence[str],
    train: slice,
    judge: slice,
    window: int,
) -> LabelledSeries:
    count = train.stop - train.start
    if count < _LEAST_TRAINING:
        raise NotEnoughData(
            f"The series {identity!r} of {set_name} has {count} rows of training data, and {_LEAST_TRAINING} are the "
            "least that a detector learns from.",
            hint="Give longer series, or a larger --train-share.",
        )
    labels = pd.to_numeric(part[LABEL], errors="coerce")
    if not labels.isin([0, 1]).all():
        raise BadDataset(
            f"A label of the series {identity!r} is neither 0 nor 1.", hint="Write 1 where it is abnormal."
        )
    cut = train.stop - int(CALIBRATION_SHARE * count)
    frame = part[[TIMESTAMP, *metrics]].astype(dict.fromkeys(metrics, np.float64))
    return LabelledSeries(
        set_name,
        identity,
        frame,
        labels.to_numpy() == 1,
        slice(train.start, cut),
        slice(cut, train.stop),
        judge,
        window,
    )
