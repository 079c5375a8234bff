"""MOrA, the Microservice Orchestration and Rightsizing Agent.

The front door: public names, resolved at first use, so that `import mora` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mora.dataset import read_dataset
    from mora.pipeline import collect, recommend, render, train

__version__ = "0.1.0"
__all__ = ["collect", "read_dataset", "recommend", "render", "train"]

_DOORS = {
    "read_dataset": "mora.dataset",
    "collect": "mora.pipeline",
    "train": "mora.pipeline",
    "recommend": "mora.pipeline",
    "render": "mora.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'mora' has no attribute {name!r}")
