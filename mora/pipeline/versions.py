"""The versions of services' models: which there are, what sets them apart, going back to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mora.errors import BadInput, MoraError
from mora.model import versions as store
from mora.model.catalogue import DEFAULT_NAMESPACE, list_models, model_folder
from mora.model.layout import short, version_folder
from mora.model.versions import Versions


@dataclass(frozen=True, slots=True)
class ServiceVersions:
    """The versions of one service, or the error of their file. `versions` is None for a model of an older MOrA."""

    service: str
    versions: Versions | None
    error: MoraError | None = None


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What a version is. role: "champion", "challenger", "previous" or "".

    card: None where it cannot be read, for the reason that `error` has.
    """

    digest: str
    role: str
    trained_at: datetime
    card: Mapping[str, Any] | None
    error: MoraError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        card = self.card or {}
        return {
            "version": self.digest,
            "role": self.role or None,
            "trained_at": self.trained_at.isoformat(),
            "data_until": card.get("last_sample"),
            "rows": card.get("rows"),
            "driven": card.get("driven"),
            "forecasters": card.get("forecasters"),
            "errors": None if self.card is None else errors_of(self.card),
            "problem": None if self.error is None else self.error.message,
        }


def errors_of(card: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """target -> mean error of the blend and of the naive forecast, and the mean use; of the main horizon."""
    return {
        target: {
            "blend": table["errors"]["blend"]["mean"],
            "naive": table["errors"]["naive"]["mean"],
            "level": table["level"],
        }
        for target, table in card["report"]["next_steps"].items()
        if {"blend", "naive"} <= table["errors"].keys()
    }


def list_versions(models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> list[ServiceVersions]:
    """Every service of a namespace that has a model, sorted by name."""
    found = []
    for service in list_models(models_dir, namespace):
        try:
            found.append(ServiceVersions(service, store.read_versions(model_folder(models_dir, service, namespace))))
        except MoraError as failure:
            found.append(ServiceVersions(service, None, failure))
    return found


def show_versions(
    service: str, *, models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE
) -> tuple[Versions, list[VersionFacts]]:
    """The versions of a service and what each is, the newest first; BadModel where it has none."""
    from mora.model import folder as files

    folder = model_folder(models_dir, service, namespace)
    known = store.known_versions(folder)
    roles = {known.previous: "previous", known.challenger: "challenger", known.champion: "champion"}
    found = []
    for digest in known.newest_first:
        about = digest, roles.get(digest, ""), known.trained[digest]
        try:
            card = files.read(version_folder(folder, digest)).card
            found.append(VersionFacts(*about, card))
        except MoraError as failure:
            found.append(VersionFacts(*about, None, failure))
    return known, found


def rollback(
    service: str,
    *,
    at: datetime,
    to: str | None = None,
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
) -> tuple[Versions, Versions]:
    """Make an older version of a service the champion again; the versions before and after.

    to: the beginning of its digest; by default the champion before the current one. A challenger is one no more.
    Raises BadInput where there is no such version, BadModel where it is not whole; then nothing has changed.
    """
    from mora.model import ServiceModel

    folder = model_folder(models_dir, service, namespace)
    before = store.known_versions(folder)
    digest = before.previous if to is None else before.named(to, service)
    if digest is None:
        raise BadInput(
            f"{service!r} has had no champion before {short(before.champion)}.",
            hint=f"Name a version with --to; mora models show {service} lists them.",
        )
    if digest == before.champion:
        raise BadInput(f"Version {short(digest)} is the champion of {service!r} already.")
    ServiceModel.load(version_folder(folder, digest), digest=digest)
    after = before.with_champion(digest, at=at, why=f"rolled back from {short(before.champion)}")
    store.change(folder, after, before=before)
    return before, after
