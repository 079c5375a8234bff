"""Where detectors of services lie, and what a folder of one has: health/NAMESPACE/SERVICE.

card.json        what it is, what it was trained on, and the checksum of every file
detector.json    the detector's document; detector.npz its arrays, without pickle
threshold.json   the threshold's, and threshold.npz where it has arrays
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mora import sealed
from mora.documents import Misfit, check, fields, items, mapping, moment, number, optional, text, whole
from mora.domain import check_name, is_name
from mora.domain.learning import Saved
from mora.errors import BadModel
from mora.sealed import Contents

SCHEMA_VERSION = 1
DETECTOR, THRESHOLD = "detector", "threshold"
_MOST_ROWS, _MOST_SECONDS, _MOST_COLUMNS = 10**12, 10 * 365 * 86400, 10_000


def _name(value: Any, where: str) -> None:
    text(value, where)
    if not is_name(value):
        raise Misfit(f"{where} is not a name that Kubernetes allows")


_CARD = fields(
    {
        "namespace": _name,
        "service": _name,
        "detector": text,
        "threshold": text,
        "asked": fields({"detector": text, "threshold": text}),
        "metrics": items(text, least=1),
        "step_seconds": number(0.001, _MOST_SECONDS),
        "start_up_seconds": number(0, _MOST_SECONDS),
        "context": whole(0, _MOST_ROWS),
        "trained_at": moment,
        "first_sample": moment,
        "last_sample": moment,
        "rows": whole(1, _MOST_ROWS),
        "calibration_rows": whole(1, _MOST_ROWS),
        "known_share": number(0, 1),
        "flagged_share": number(0, 1),
        "usual_score": number(),
        "reasons": items(text),
        "own": mapping(text),
        "source": optional(text),
        "mora": text,
    },
)


def _card(card: dict[str, Any], version: int) -> dict[str, Any]:
    if version != SCHEMA_VERSION:
        raise BadModel(f"Detectors of schema {version} cannot be read.")
    check(card, _CARD)
    if len(card["metrics"]) > _MOST_COLUMNS:
        raise Misfit(f"metrics are {len(card['metrics']):,}, more than any service has")
    return card


def _command(folder: Path) -> str:
    namespace = "" if folder.parent.name == "default" else f" -n {folder.parent.name}"
    return f"mora health train {folder.name}{namespace}"


KIND = sealed.Kind("detector", "--health", _command, SCHEMA_VERSION, _card)


def detector_folder(health_dir: Path | str, service: str, namespace: str) -> Path:
    """Where the detector of a service lies.

    >>> str(detector_folder("health", "frontend", "default"))
    'health/default/frontend'
    """
    return Path(health_dir) / check_name(namespace, "namespace") / check_name(service, "service name")


def list_detectors(health_dir: Path | str, namespace: str | None = None) -> list[tuple[str, str]]:
    """(namespace, service) of those that have one, sorted; namespace: of this one alone."""
    root = Path(health_dir)
    if not root.is_dir():
        return []
    spaces = [path for path in root.iterdir() if path.is_dir() and namespace in (None, path.name)]
    return sorted(
        (space.name, folder.name)
        for space in spaces
        for folder in space.iterdir()
        if is_name(space.name) and is_name(folder.name) and (folder / sealed.CARD).is_file()
    )


def seal(card: Mapping[str, Any], detector: Saved, threshold: Saved) -> Contents:
    """The contents of a folder, as they will be read back."""
    saved = {DETECTOR: detector, THRESHOLD: threshold}
    return sealed.seal(
        card,
        {f"{name}.json": of.document for name, of in saved.items()},
        {f"{name}.npz": of.arrays for name, of in saved.items() if of.arrays},
        schema_version=SCHEMA_VERSION,
    )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files in place of whatever detector was in the folder; whole, or not at all."""
    sealed.write(folder, files, KIND)


def read(folder: Path) -> tuple[Contents, Saved, Saved]:
    """Read and verify; the contents, the saved detector and the saved threshold. BadModel where one is not whole."""
    contents = sealed.read(folder, KIND)
    return contents, _saved(contents, folder, DETECTOR), _saved(contents, folder, THRESHOLD)


def _saved(contents: Contents, folder: Path, name: str) -> Saved:
    document = contents.documents.get(f"{name}.json")
    if not isinstance(document, dict):
        raise BadModel(f"{folder} has no {name}.json.", hint=f"Train it again: {_command(folder)}")
    return Saved(document, contents.arrays.get(f"{name}.npz", {}))
