"""What training returns and how it is kept: ServiceModel, its settings, its folder.

Names are resolved at first use: finding a model's folder or judging its age needs no pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mora.model.calibration import Calibration
    from mora.model.service import ServiceModel, train
    from mora.model.settings import TrainSettings

__all__ = ["Calibration", "ServiceModel", "TrainSettings", "train"]

_DOORS = {
    "Calibration": "mora.model.calibration",
    "ServiceModel": "mora.model.service",
    "TrainSettings": "mora.model.settings",
    "train": "mora.model.service",
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'mora.model' has no attribute {name!r}")
