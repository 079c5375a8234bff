"""The unified CSV: the only room that knows the file format.

An experiment of a service is up to three files of one name: `<id>.csv` (the samples), `<id>.containers.csv` (its other
containers) and `<id>.json` (how the samples came to be). The JSON is put in place last: a CSV without it was never
finished. Every file is written whole or not at all. Reading is strict, since a model would learn a wrong number: what
breaks the contract is a BadDataset that names file and line.
"""

from __future__ import annotations

from mora.dataset.layout import (
    CONTAINER_COLUMNS,
    DEFAULT_NAMESPACE,
    SCHEMA_VERSION,
    discard_experiment,
    is_finished,
    list_services,
    service_folder,
)
from mora.dataset.quality import assess_quality
from mora.dataset.reading import read_cards, read_dataset, read_experiment, read_samples
from mora.dataset.writing import last_resources, unify, write_experiment

__all__ = [
    "CONTAINER_COLUMNS",
    "DEFAULT_NAMESPACE",
    "SCHEMA_VERSION",
    "assess_quality",
    "discard_experiment",
    "is_finished",
    "last_resources",
    "list_services",
    "read_cards",
    "read_dataset",
    "read_experiment",
    "read_samples",
    "service_folder",
    "unify",
    "write_experiment",
]
