"""Where the unified CSVs are, and which columns they have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mora.domain import check_name
from mora.files import write_error
from mora.metrics import (
    EXTRA_METRICS,
    METRICS,
)

SCHEMA_VERSION = 1
DEFAULT_NAMESPACE = "default"

CONTAINER_COLUMNS: tuple[str, ...] = (
    "timestamp",
    "container",
    "cpu_cores",
    "mem_bytes",
    "cpu_request_cores",
    "cpu_limit_cores",
    "mem_request_bytes",
    "mem_limit_bytes",
)

TEXT_COLUMNS = ("experiment_id", "service", "scenario", "timestamp")
CONSTANT_COLUMNS = ("experiment_id", "service", "scenario", "replica_count", "load_users")
# Amounts of memory are whole bytes; everything else keeps nine significant digits: beyond what any counter resolves.
WHOLE_COLUMNS = frozenset(m.name for m in METRICS + EXTRA_METRICS if m.unit == "bytes") | {
    "mem_bytes",
    "mem_request_bytes",
    "mem_limit_bytes",
}
Columns = dict[str, list[Any]]
EXPERIMENT_ID = re.compile(r"[a-z0-9][A-Za-z0-9._-]*", re.ASCII)


def service_folder(data_dir: Path | str, service: str, *, namespace: str = DEFAULT_NAMESPACE) -> Path:
    """Where a service's experiments lie; a namespace other than the default has its own level.

    >>> str(service_folder("data", "frontend")), str(service_folder("data", "cart", namespace="shop"))
    ('data/frontend', 'data/shop/cart')
    """
    check_name(service, "service name")
    check_name(namespace, "namespace")
    root = Path(data_dir)
    return root / service if namespace == DEFAULT_NAMESPACE else root / namespace / service


def list_services(data_dir: Path | str = "data", *, namespace: str = DEFAULT_NAMESPACE) -> list[str]:
    """The services that have experiment files, sorted; empty where there is no such folder."""
    check_name(namespace, "namespace")
    root = Path(data_dir) if namespace == DEFAULT_NAMESPACE else Path(data_dir) / namespace
    if not root.is_dir():
        return []
    return sorted(folder.name for folder in root.iterdir() if folder.is_dir() and experiment_files(folder))


def is_finished(data_dir: Path | str, service: str, experiment_id: str, *, namespace: str = DEFAULT_NAMESPACE) -> bool:
    """Whether an experiment is there in full: its CSV, and the JSON that is written last."""
    folder = service_folder(data_dir, service, namespace=namespace)
    return (folder / f"{experiment_id}.json").is_file() and (folder / f"{experiment_id}.csv").is_file()


def discard_experiment(
    data_dir: Path | str, service: str, experiment_id: str, *, namespace: str = DEFAULT_NAMESPACE
) -> None:
    """Delete an experiment's files, those that are there; the JSON first, so that it counts as unfinished at once."""
    folder = service_folder(data_dir, service, namespace=namespace)
    for ending in ("json", "csv", "containers.csv"):
        path = folder / f"{experiment_id}.{ending}"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from error


def experiment_files(folder: Path) -> list[Path]:
    """Sorted by experiment id, which is the file's stem."""
    files = (path for path in folder.glob("*.csv") if not path.name.endswith(".containers.csv"))
    return sorted(files, key=lambda path: path.stem)
