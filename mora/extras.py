"""Optional packages: which extra brings which, what is missing here, and the error that says how to install it.

The base install (`pip install mora-rightsizing`) recommends from history. What is heavy, or needed by one command
alone, comes with an extra (pyproject.toml): `pip install 'mora-rightsizing[train]'`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from mora.errors import ToolMissing

EXTRAS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "train": {"tensorflow": "tensorflow", "keras": "keras", "prophet": "prophet", "sklearn": "scikit-learn"},
        "collect": {"locust": "locust"},
        "optimize": {"scipy": "scipy"},
        "sandbox": {"psutil": "psutil"},
        "parquet": {"pyarrow": "pyarrow"},
        "serve": {"fastapi": "fastapi", "uvicorn": "uvicorn"},
        "mcp": {"mcp": "mcp"},
        "dask": {"distributed": "distributed"},
        "health": {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu", "ai_edge_litert": "ai-edge-litert"},
        "models": {"xgboost": "xgboost-cpu", "lightgbm": "lightgbm", "statsforecast": "statsforecast"},
        "mlflow": {"mlflow": "mlflow-skinny"},
        "drift": {"river": "river"},
        "cloud-gcp": {"google.cloud.monitoring_v3": "google-cloud-monitoring"},
        "cloud-aws": {"boto3": "boto3"},
        "tune": {"optuna": "optuna"},
        "cloud-azure": {
            "azure.monitor.querymetrics": "azure-monitor-querymetrics",
            "azure.identity": "azure-identity",
        },
    }
)
"""Extra -> what it adds to the base install: name of the module -> name of the package."""

INCLUDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"sandbox": ("train", "collect"), "optimize": ("collect",), "tune": ("train", "models")}
)
"""Extra -> the extras that it also installs."""


def missing(extra: str) -> tuple[str, ...]:
    """The packages of an extra, without those of the extras that it includes, that are not installed here."""
    return tuple(package for module, package in EXTRAS[extra].items() if not _is_installed(module))


def require(*extras: str, by: str) -> None:
    """Return where the packages of the extras are installed; otherwise raise ToolMissing with the command to run.

    by: who needs them, the subject of the error's first sentence, such as "mora train". Nothing is imported.
    """
    lacking = {extra: packages for extra in extras if (packages := missing(extra))}
    if not lacking:
        return
    names = [package for packages in lacking.values() for package in packages]
    included = {other for extra in lacking for other in INCLUDED.get(extra, ())}
    named = ",".join(extra for extra in lacking if extra not in included)
    what, them = ("packages that are", "them") if len(names) > 1 else ("a package that is", "it")
    raise ToolMissing(
        f"{by} needs {what} not installed: {', '.join(names)}.",
        hint=f"Install {them}: pip install 'mora-rightsizing[{named}]'",
    )


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a finder that refuses it, or a module without a spec
        return False
