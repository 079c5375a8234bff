"""Names in the folder of a service: the file that points to its champion, and the folders of its versions."""

from __future__ import annotations

import re
from pathlib import Path

CARD, POINTER, VERSIONS = "card.json", "versions.json", "versions"
_SHORT = 12
_FOLDER = re.compile(rf"[0-9a-f]{{{_SHORT}}}", re.ASCII)


def short(digest: str) -> str:
    """A digest as people see it: its first twelve characters, the name of the version's folder."""
    return digest[:_SHORT]


def has_model(folder: Path) -> bool:
    """Whether a service's folder has a model: versions, or the files of one, as before there were versions."""
    return (folder / POINTER).is_file() or (folder / CARD).is_file()


def version_folder(folder: Path, digest: str) -> Path:
    """Where a version of the service in `folder` is."""
    return folder / VERSIONS / short(digest)


def is_version_name(name: str) -> bool:
    """Whether a folder of this name can be a version's.

    >>> is_version_name("1f3a5c20b7d4"), is_version_name("frontend")
    (True, False)
    """
    return _FOLDER.fullmatch(name) is not None


def service_of(folder: Path) -> str:
    """The service that a folder of a model, or of one of its versions, is named for.

    >>> service_of(Path("models/frontend/versions/1f3a5c20b7d4")), service_of(Path("models/frontend"))
    ('frontend', 'frontend')
    """
    is_version = folder.parent.name == VERSIONS and is_version_name(folder.name)
    return folder.parent.parent.name if is_version else folder.name
