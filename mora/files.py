"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mora.errors import MoraError


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as MOrA writes it: indented, one line end, never NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_files(files: Iterable[tuple[Path, str]]) -> None:
    """Write texts to files, all of them or none, in their order; the folders are made.

    Each goes to a temporary file in its folder, is flushed to the disk and then renamed, so that a reader, or a crash,
    finds the old file or the new one. A temporary file that a crash left is overwritten by the next try.
    Raises MoraError where the disk is full or refuses.
    """
    pending: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, text in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            pending.append((temporary, path))
            with temporary.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        for temporary, path in pending:
            temporary.replace(path)
        for folder in {path.parent for _, path in pending}:
            _sync_folder(folder)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        for temporary, _ in pending:
            with contextlib.suppress(OSError):  # gone after its rename; a read-only disk refuses even to look
                temporary.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(path: Path, error: OSError) -> MoraError:
    """The MoraError of a file that cannot be written: which, why, and what to do."""
    cures = {
        errno.ENOSPC: "Free some space, or name a folder on another disk. What was finished before is kept.",
        errno.EDQUOT: "Your quota is used up: free some space, or name another folder.",
        errno.EACCES: "Name a folder that you may write to.",
        errno.EPERM: "Name a folder that you may write to.",
        errno.EROFS: "The file system is read-only: name another folder.",
        errno.ENOTDIR: "A file stands where a folder is needed.",
    }
    return MoraError(f"Cannot write {path}: {error.strerror}.", hint=cures.get(error.errno or 0))
