"""The trained detectors of a folder, as the watcher takes them: which there are, and each when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mora import sealed
from mora.health.folder import detector_folder, list_detectors
from mora.health.model import HealthModel

Key = tuple[str, str]
"""Namespace and name of a service."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Those of a folder. wanted: the services that are taken; None for all. namespace: of this one alone."""

    folder: Path
    wanted: Collection[Key] | None = None
    namespace: str | None = None
    load_model: Callable[[Path], HealthModel] = HealthModel.load

    def versions(self) -> Mapping[Key, str]:
        """Service -> what changes when it is trained again. A folder that goes away meanwhile is not there."""
        found: dict[Key, str] = {}
        for namespace, service in list_detectors(self.folder, self.namespace):
            key = namespace, service
            if self.wanted is not None and key not in self.wanted:
                continue
            try:
                # A folder is replaced as a whole, so its card is another file after each training.
                stat = (self.folder / namespace / service / sealed.CARD).stat()
            except OSError:
                continue
            found[key] = f"{stat.st_ino}-{stat.st_mtime_ns}"
        return found

    def load(self, key: Key) -> HealthModel:
        """One, verified. BadModel where it cannot be read."""
        return self.load_model(detector_folder(self.folder, key[1], key[0]))
