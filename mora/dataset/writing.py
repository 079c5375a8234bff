"""Writing an observation as a unified CSV with its JSON beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mora.dataset.layout import (
    CONTAINER_COLUMNS,
    DEFAULT_NAMESPACE,
    EXPERIMENT_ID,
    SCHEMA_VERSION,
    WHOLE_COLUMNS,
    service_folder,
)
from mora.dataset.reading import parse_columns
from mora.domain import Resources
from mora.errors import BadDataset, BadInput
from mora.files import json_text, write_files
from mora.metrics import (
    ALL_COLUMNS,
    CORE_COLUMNS,
    EXTRA_COLUMNS,
    METRIC_COLUMNS,
)
from mora.quantities import bytes_up, cores_to_millicores, format_moment


def unify(
    metrics: pd.DataFrame,
    *,
    experiment_id: str,
    service: str,
    scenario: str,
    replica_count: int | None = None,
    load_users: int | None = None,
) -> pd.DataFrame:
    """What a source measured -> the unified frame: context, and every column in its place.

    metrics: indexed by UTC timestamp, columns among METRIC_COLUMNS and EXTRA_COLUMNS (domain.Observation.metrics, with
    Locust's columns joined where there are any); a column that is not there is NaN.
    replica_count, load_users: what was asked for; None where the data was observed.
    """
    frame = metrics.reindex(columns=[*METRIC_COLUMNS, *EXTRA_COLUMNS]).astype("float64").reset_index(names="timestamp")
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).astype("datetime64[us, UTC]")
    frame["experiment_id"], frame["service"], frame["scenario"] = experiment_id, service, scenario
    frame["replica_count"] = math.nan if replica_count is None else float(replica_count)
    frame["load_users"] = math.nan if load_users is None else float(load_users)
    return frame.reindex(columns=list(ALL_COLUMNS))


def last_resources(metrics: pd.DataFrame) -> Resources:
    """The main container's requests and limits as they stood last in some rows; None where none was ever seen."""

    def last(column: str) -> float | None:
        known = metrics[column].dropna() if column in metrics else pd.Series(dtype="float64")
        return float(known.iloc[-1]) if len(known) else None

    cpu_request, cpu_limit = last("cpu_request_cores"), last("cpu_limit_cores")
    memory_request, memory_limit = last("mem_request_bytes"), last("mem_limit_bytes")
    return Resources(
        cpu_request_millicores=None if cpu_request is None else cores_to_millicores(cpu_request),
        cpu_limit_millicores=None if cpu_limit is None else cores_to_millicores(cpu_limit),
        memory_request_bytes=None if memory_request is None else bytes_up(memory_request),
        memory_limit_bytes=None if memory_limit is None else bytes_up(memory_limit),
    )


def write_experiment(
    data_dir: Path | str,
    frame: pd.DataFrame,
    card: Mapping[str, Any],
    containers: pd.DataFrame | None = None,
    *,
    namespace: str = DEFAULT_NAMESPACE,
) -> Path:
    """Write one experiment's files, whole or not at all, and return the CSV's path.

    frame: what unify() returns; empty extra columns are left out. card: its JSON, plain values; the schema
    version is added. containers: CONTAINER_COLUMNS, or None or empty for no file.
    Raises BadDataset where the experiment is already there, MoraError where the disk refuses.
    """
    experiment_id, service = str(frame["experiment_id"].iloc[0]), str(frame["service"].iloc[0])
    if (card.get("experiment_id"), card.get("service")) != (experiment_id, service):
        raise BadInput(f"The card of {experiment_id!r} is of another experiment: {card.get('experiment_id')!r}.")
    if EXPERIMENT_ID.fullmatch(experiment_id) is None:
        raise BadInput(f"{experiment_id!r} cannot name a file; an experiment's id has letters, digits, '.', '_', '-'.")
    folder = service_folder(data_dir, service, namespace=namespace)
    if (folder / f"{experiment_id}.json").exists():
        raise BadDataset(
            f"Experiment {experiment_id!r} is already in {folder}.",
            hint="A finished experiment is never overwritten: collect into another folder, or delete its files.",
        )
    path = folder / f"{experiment_id}.csv"
    text = _csv_text(frame, _written_columns(path, frame))
    parse_columns(path, text.encode())  # nothing is written that could not be read again
    files = [(path, text)]
    if containers is not None and len(containers):
        files.append((folder / f"{experiment_id}.containers.csv", _csv_text(containers, CONTAINER_COLUMNS)))
    files.append((folder / f"{experiment_id}.json", json_text({"schema_version": SCHEMA_VERSION, **card})))
    write_files(files)
    return path


def _written_columns(path: Path, frame: pd.DataFrame) -> list[str]:
    missing = [column for column in CORE_COLUMNS if column not in frame.columns]
    if missing:
        raise BadDataset(f"{path}: the frame to write lacks {', '.join(missing)}.")
    return [*CORE_COLUMNS, *(c for c in EXTRA_COLUMNS if c in frame.columns and frame[c].notna().any())]


def _csv_text(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    texts = [_column_texts(column, frame[column]) for column in columns]
    lines = [",".join(columns), *(",".join(row) for row in zip(*texts, strict=True))]
    return "\n".join(lines) + "\n"


def _column_texts(column: str, values: pd.Series[Any]) -> list[str]:
    if column == "timestamp":
        return [format_moment(time, "shortest") for time in values]
    if column in ("experiment_id", "service", "scenario", "container"):
        return [str(value) for value in values]
    digits = ".0f" if column in WHOLE_COLUMNS else ".9g"
    # + 0.0 turns -0.0 into 0.0
    return ["" if math.isnan(value) else format(value + 0.0, digits) for value in values.tolist()]
