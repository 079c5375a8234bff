"""Where trained models live, which there are, and loading one by the name of its service, or an older version of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import check_name
from mora.errors import BadModel
from mora.model.layout import has_model, version_folder
from mora.model.versions import known_versions

if TYPE_CHECKING:
    from mora.model import ServiceModel


DEFAULT_NAMESPACE = "default"


def model_folder(models_dir: Path | str, service: str, namespace: str = DEFAULT_NAMESPACE) -> Path:
    """Where a service's model and its versions live: models/<service>, with a level for another namespace than default.

    The files of the model that answers are in one of the versions (mora/model/versions.py).
    """
    check_name(service, "service name")
    root = Path(models_dir)
    return root / service if namespace == DEFAULT_NAMESPACE else root / check_name(namespace, "namespace") / service


def list_models(models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> list[str]:
    """Services that have a model folder, sorted."""
    root = Path(models_dir) if namespace == DEFAULT_NAMESPACE else Path(models_dir) / namespace
    if not root.is_dir():
        return []
    return sorted(f.name for f in root.iterdir() if not f.name.startswith(".") and has_model(f))


def load_model(
    service: str,
    *,
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    version: str | None = None,
) -> ServiceModel:
    """The saved model of a service; BadModel naming those there are where it has none.

    version: the beginning of a digest, for another one than the champion; BadInput names those there are.
    """
    from mora.model import ServiceModel

    folder = model_folder(models_dir, service, namespace)
    if not folder.is_dir():
        others = list_models(models_dir, namespace)
        raise BadModel(
            f"There is no model of {service!r} in {folder}"
            + (f"; there are models of {', '.join(others)}." if others else "."),
            hint=f"Train one: mora train {service}",
        )
    if version is not None:
        digest = known_versions(folder).named(version, service)
        return ServiceModel.load(version_folder(folder, digest), digest=digest)
    return ServiceModel.load(folder)
