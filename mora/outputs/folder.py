"""Any output as files in a folder: all of them or none, and never over files that MOrA did not write.

`.mora-files` lists the written files and their checksums; the end of its name lets `kubectl apply -f DIR` pass it by.
A file that is not on the list, or that was edited since, is not overwritten. A file of an earlier run of the same
output that this run does not write is deleted, because `kubectl apply -f DIR` would still apply it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mora import documents, registry
from mora.domain import Recommendation
from mora.errors import BadInput, MoraError
from mora.files import read_regular
from mora.outputs import DEFAULTS, OutputSettings

LISTED = ".mora-files"
# What earlier versions called it; it is read, and replaced by the next run.
LISTED_BEFORE = ".mora-files.json"
_SCHEMA_VERSION = 1
_MOST_BYTES = 16 * 2**20
# Outputs that are one text for all workloads, and the name of their file.
_SINGLE = {
    "table": "table.txt",
    "wide": "wide.txt",
    "json": "recommendations.json",
    "csv": "recommendations.csv",
    "explain": "explain.txt",
    "html": "recommendations.html",
}


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, and the files of an earlier run that were deleted."""

    written: tuple[Path, ...]
    removed: tuple[Path, ...] = ()


def files(
    output: str, recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS
) -> dict[str, str]:
    """File name -> text of a registered output; names contain no folders and never clash."""
    render = registry.load("outputs", output)
    if output in _SINGLE:
        return {_SINGLE[output]: render(recommendations, settings)}
    texts: dict[str, str] = import_module(render.__module__).files(recommendations, settings)
    return texts


def write(
    output: str,
    recommendations: Sequence[Recommendation],
    folder: Path,
    settings: OutputSettings = DEFAULTS,
    *,
    overwrite: bool = False,
) -> Written:
    """Write an output into `folder`, all of its files or none.

    overwrite: also over files that MOrA did not write or that were edited since; else BadInput names them.
    """
    from mora.files import folder_lock

    texts = files(output, recommendations, settings)
    _check_folder(folder)
    with folder_lock(folder):
        return _write(output, texts, folder, overwrite=overwrite)


def _write(output: str, texts: Mapping[str, str], folder: Path, *, overwrite: bool) -> Written:
    from mora.files import write_files

    listed = _read(folder)
    foreign = [name for name in texts if not _is_ours(folder / name, listed.get(name))]
    if foreign and not overwrite:
        raise BadInput(
            f"{folder} has files that MOrA did not write, or that were edited since: {', '.join(sorted(foreign))}.",
            hint="Nothing was written. Move these files, choose another folder, or use --overwrite.",
        )
    left = [name for name, entry in listed.items() if entry["output"] == output and name not in texts]
    stale = [name for name in left if (folder / name).is_file() and _is_ours(folder / name, listed[name])]
    kept = {name: entry for name, entry in listed.items() if name not in left}
    now = {name: {"output": output, "sha256": _checksum(text.encode())} for name, text in texts.items()}
    written = {folder / name: text for name, text in texts.items()}
    # First a list of both contents: whenever this process is killed, the files that are there are known as MOrA's.
    both = {name: {**now[name], "was": _checksum_of(folder / name)} for name in now if (folder / name).is_file()}
    write_files([(folder / LISTED, _document(listed | now | both))])
    try:
        write_files(written.items())
    except MoraError:
        if not listed:
            (folder / LISTED).unlink(missing_ok=True)
        raise
    _delete([folder / name for name in stale])
    write_files([(folder / LISTED, _document(kept | now))])
    _delete([folder / LISTED_BEFORE])
    return Written(tuple(written), tuple(folder / name for name in stale))


def _document(entries: Mapping[str, Mapping[str, str]]) -> str:
    document = {"schema_version": _SCHEMA_VERSION, "files": dict(sorted(entries.items()))}
    return json.dumps(document, indent=2) + "\n"


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise MoraError(
                f"{path} of an earlier run cannot be deleted: {error.strerror}.",
                hint="All new files were written. Delete this one, so that it is not applied.",
            ) from error


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file.", hint="--out must be a folder.")


def _read(folder: Path) -> dict[str, dict[str, str]]:
    """The folder's list, empty without one; BadInput where it is not a list of MOrA."""
    path = folder / LISTED
    if not path.exists() and (folder / LISTED_BEFORE).is_file():
        path = folder / LISTED_BEFORE
    if not path.exists():
        return {}
    try:
        return _entries(documents.parse(read_regular(path, _MOST_BYTES, follows_links=False)))
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read as the list of files that MOrA wrote: {error}.",
            hint="Delete it. Without the list, existing files are only overwritten with --overwrite.",
        ) from error


def _entries(document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    if document["schema_version"] != _SCHEMA_VERSION:
        raise ValueError(f"it has schema version {document['schema_version']}, this MOrA reads {_SCHEMA_VERSION}")
    entries = {
        name: {key: str(entry[key]) for key in ("output", "sha256", *(["was"] if "was" in entry else []))}
        for name, entry in document["files"].items()
    }
    for name in entries:
        # Files are deleted by these names: one outside of the folder was not written by MOrA.
        if name != Path(name).name:
            raise ValueError(f"{name!r} is not a file name")
    return entries


def _is_ours(path: Path, entry: Mapping[str, str] | None) -> bool:
    """Whether a file may be replaced: it does not exist, or it is as MOrA wrote it."""
    if not path.exists() and not path.is_symlink():
        return True
    if entry is None or path.is_symlink() or not path.is_file():
        return False
    return _checksum_of(path) in (entry["sha256"], entry.get("was"))


def _checksum_of(path: Path) -> str:
    return _checksum(path.read_bytes())


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
