"""The unified CSVs as a source: what was collected once is read again, without a Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mora import dataset
from mora.domain import Observation, Window, Workload
from mora.errors import SourceUnavailable
from mora.metrics import EXTRA_COLUMNS, METRIC_COLUMNS


class CsvSource:
    """The experiments under a data folder as a MetricSource.

    include_flagged: also those that failed their quality check.
    """

    ABOUT = "the CSV files of another machine (csv:FOLDER)"

    def __init__(self, data_dir: Path | str = "data", *, include_flagged: bool = False) -> None:
        self._data_dir = Path(data_dir)
        self._include_flagged = include_flagged

    def services(self, namespace: str) -> list[str]:
        """The services of a namespace that the folder has files of."""
        return dataset.list_services(self._data_dir, namespace=namespace)

    def queries(self, workload: Workload, window: Window) -> Mapping[str, str]:
        """The folder that is read."""
        return {"folder": str(dataset.service_folder(self._data_dir, workload.name, namespace=workload.namespace))}

    def observe(self, workload: Workload, window: Window) -> Observation:
        """The rows that were collected inside the window, at their own moments, in the order of time.

        No row is made up: the index is what is in the files, not the window's grid. The other containers, which are
        not part of the experiment files, are left empty.
        """
        rows = dataset.read_dataset(
            workload.name, self._data_dir, namespace=workload.namespace, include_flagged=self._include_flagged
        )
        first, last = rows["timestamp"].min(), rows["timestamp"].max()
        rows = rows[rows["timestamp"].between(window.start, window.end)].sort_values("timestamp", kind="stable")
        if rows.empty:
            raise SourceUnavailable(
                f"{self._data_dir} has no samples of {workload.name!r} between {window.start} and {window.end}.",
                hint=f"Its experiments were collected between {first} and {last}.",
            )
        columns = [*METRIC_COLUMNS, *(column for column in EXTRA_COLUMNS if rows[column].notna().any())]
        cards = dataset.read_cards(workload.name, self._data_dir, namespace=workload.namespace)
        card = cards.get(rows["experiment_id"].iloc[-1], {})
        return Observation(
            workload=workload,
            window=window,
            metrics=rows.set_index("timestamp")[columns],
            containers=pd.DataFrame(columns=list(dataset.CONTAINER_COLUMNS)),
            main_container=card.get("container"),
            main_container_chosen_by=card.get("container_chosen_by") or "the experiment's card does not say",
            queries=self.queries(workload, window),
        )
