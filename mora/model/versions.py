"""The versions of a service's model: every training is kept under the digest of its contents; one is the champion.

models/frontend/versions.json      which version is the champion, which challenges it, how it came to that
models/frontend/versions/1f3a.../  the folder of each version (mora/model/folder.py), named by its digest's beginning

What answers is the champion. It changes by one file that is replaced in one step, so a reader finds the old champion
or the new one, and going back is the same step. A folder of before, with the model's files in it, is read as it is; the
next training makes it the first version.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from mora import documents
from mora.errors import BadInput, BadModel, MoraError
from mora.files import folder_lock, json_text, read_regular, sweep_folders, write_error, write_files
from mora.model.layout import CARD, POINTER, VERSIONS, has_model, is_version_name, short, version_folder

# What is kept beside the champion, the one before it and the challenger: the newest.
KEPT_VERSIONS = 5

_SCHEMA_VERSION = 1
_MOST_BYTES = 4 * 2**20
# The record of champions is for people, and for going back: the newest say enough.
_MOST_TURNS = 50
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_digest(value: object) -> bool:
    """Whether a value can be the digest of a version: 64 hexadecimal digits."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _digest(value: Any, where: str) -> None:
    if not is_digest(value):
        raise documents.Misfit(f"{where} is not the digest of a version")


_SHAPE = documents.fields(
    {
        "schema_version": documents.whole(1, _SCHEMA_VERSION),
        "champion": _digest,
        "challenger": documents.optional(_digest),
        "trained": documents.mapping(documents.moment, _digest),
        "turns": documents.items(
            documents.fields({"at": documents.moment, "champion": _digest, "why": documents.text}), least=1
        ),
    }
)


class NewerVersions(BadModel):
    """The versions of a service were written by a newer MOrA; nothing is written over them."""


class Made(Protocol):
    """What is kept of a model: the digest of its contents, and its files by name."""

    @property
    def digest(self) -> str:
        """sha256 in hexadecimal digits."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Name -> contents, the card's among them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """When a version became the champion, and why."""

    at: datetime
    champion: str
    why: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one service, by their digests.

    challenger: the version that is tried beside the champion; None where none is. trained: digest -> when it was
    trained, for every version that is kept. turns: the champions in order, the last is the current one; of those
    before, some may be kept no more.
    """

    champion: str
    challenger: str | None
    trained: Mapping[str, datetime]
    turns: tuple[Turn, ...]

    @property
    def newest_first(self) -> list[str]:
        """Every version that is kept, the newest training first."""
        return sorted(self.trained, key=lambda digest: (self.trained[digest], digest), reverse=True)

    @property
    def previous(self) -> str | None:
        """The champion before the current one that is still kept; None where there is none."""
        for turn in reversed(self.turns):
            if turn.champion != self.champion and turn.champion in self.trained:
                return turn.champion
        return None

    def named(self, text: str, service: str) -> str:
        """The digest that begins with `text`; BadInput, with those there are, where none or several do."""
        word = text.strip().lower()
        found = [digest for digest in self.trained if word and digest.startswith(word)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(map(short, self.newest_first))
        what = f"several versions of {service!r} begin" if found else f"no version of {service!r} begins"
        raise BadInput(f"{what[0].upper()}{what[1:]} with {text!r}.", hint=f"There is: {there}.")

    def with_champion(self, digest: str, *, at: datetime, why: str) -> Versions:
        """The same with another champion; a challenger that it was, or that it was tried against, is none any more."""
        if digest == self.champion:
            return self
        turns = (*self.turns, Turn(at, digest, why))[-_MOST_TURNS:]
        return replace(self, champion=digest, challenger=None, turns=turns)


def read_versions(folder: Path) -> Versions | None:
    """The versions of a service; None where its folder has none. BadModel where their file cannot be believed.

    NewerVersions where a newer MOrA wrote it.
    """
    path = folder / POINTER
    hint = f"Train it again: mora train {folder.name} (the versions in {folder / VERSIONS} that are whole are kept)"
    try:
        stored = documents.parse(read_regular(path, _MOST_BYTES, follows_links=False))
        version = stored.get("schema_version") if isinstance(stored, dict) else None
        if type(version) is int and version > _SCHEMA_VERSION:
            raise NewerVersions(
                f"{path} was written by a newer MOrA (version {version}; this one reads up to {_SCHEMA_VERSION}).",
                hint="Upgrade: pip install -U mora-rightsizing. Or name another folder with --models.",
            )
        documents.check(stored, _SHAPE)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise BadModel(f"{path} cannot be read: {failure.strerror}.", hint=hint) from failure
    except documents.Misfit as failure:
        raise BadModel(f"{path} cannot be read: {failure}.", hint=hint) from failure
    named = {stored["champion"], stored["challenger"]} - {None}
    if not named <= stored["trained"].keys():
        raise BadModel(f"{path} names a champion or a challenger that is none of its versions.", hint=hint)
    return Versions(
        stored["champion"],
        stored["challenger"],
        {digest: datetime.fromisoformat(at) for digest, at in stored["trained"].items()},
        tuple(Turn(datetime.fromisoformat(turn["at"]), turn["champion"], turn["why"]) for turn in stored["turns"]),
    )


def known_versions(folder: Path) -> Versions:
    """The versions of a service that has been trained; BadModel, with what to do, where it has none."""
    found = read_versions(folder)
    if found is not None:
        return found
    if (folder / CARD).is_file():
        raise BadModel(
            f"The model in {folder} is of an older MOrA, which kept no versions.",
            hint=f"It still answers. The next training keeps it as the first version: mora train {folder.name}",
        )
    raise BadModel(f"There is no model in {folder}.", hint=f"Train one: mora train {folder.name}")


def champion_folder(folder: Path) -> tuple[Path, str | None]:
    """The folder of the model that answers for a service, and the digest that it must have; None: any."""
    found = read_versions(folder)
    return (folder, None) if found is None else (version_folder(folder, found.champion), found.champion)


def keep(folder: Path, model: Made, *, at: datetime, as_challenger: bool = False) -> Versions:
    """Keep a trained model as a version, and return the versions that there are now.

    It becomes the champion, and a challenger of before is none any more. as_challenger: it becomes the challenger,
    where there is a champion of another content and no challenger yet; else it is kept beside them. Versions that
    nothing needs are deleted (KEPT_VERSIONS). Raises MoraError where nothing can be written; what was there is kept.
    """
    from mora.model import folder as store

    with folder_lock(_ours(folder)):
        before = _known(folder)
        own = version_folder(folder, model.digest)
        if not (own / CARD).is_file():  # what a deletion that was interrupted left
            shutil.rmtree(own, ignore_errors=True)
        store.write(own, model.files)
        if before is None:
            after = Versions(model.digest, None, {model.digest: at}, (Turn(at, model.digest, "trained"),))
        else:
            after = replace(before, trained={**before.trained, model.digest: at})
            if not as_challenger:
                after = replace(after.with_champion(model.digest, at=at, why="trained"), challenger=None)
            elif after.challenger is None and model.digest != after.champion:
                after = replace(after, challenger=model.digest)
        after = _pruned(after)
        write_files([(folder / POINTER, _text(after))])
        _tidy(folder, after)
    return after


def change(folder: Path, versions: Versions, *, before: Versions, record: Sequence[tuple[Path, str]] = ()) -> None:
    """Write what `before` has become; MoraError where another process has changed it meanwhile.

    record: files that say why, written first.
    """
    with folder_lock(_ours(folder)):
        if read_versions(folder) != before:
            raise MoraError(f"Another process has changed {folder / POINTER}.", hint="Look again, then try again.")
        write_files([*record, (folder / POINTER, _text(versions))])


def _ours(folder: Path) -> Path:
    """The folder, where versions may be written to it: it is new, a model's, or of the services of a namespace."""
    if (folder / VERSIONS).is_symlink():
        raise BadInput(
            f"{folder / VERSIONS} is a link: versions would be written and deleted somewhere else.",
            hint="Put the folder itself there, or name another folder with --models.",
        )
    if not has_model(folder) and folder.is_dir():
        for inner in folder.iterdir():
            if inner.name.startswith(".") or inner.name == VERSIONS:
                continue
            # Asked again: another training may have made it a model's since.
            if not (inner.is_dir() and has_model(inner)) and not has_model(folder):
                raise BadInput(
                    f"{folder} exists and has something in it that is not a model.",
                    hint="Name another folder with --models, or empty this one.",
                )
    return folder


def _known(folder: Path) -> Versions | None:
    """The versions of a folder, to be added to.

    A model of the older layout is copied to be the first of them. Where their file is lost or cannot be believed, it is
    made again from those that are whole; NewerVersions where a newer MOrA wrote it.
    """
    try:
        found = read_versions(folder)
    except NewerVersions:
        raise
    except BadModel:
        found = None
    if found is not None:
        return found
    trained = dict(_whole(path) for path in sorted((folder / VERSIONS).glob("*")) if is_version_name(path.name))
    trained.pop("", None)
    before = _whole(folder, copy_to=folder) if (folder / CARD).is_file() else None
    if before is not None and before[0]:
        trained[before[0]] = before[1]
        return Versions(before[0], None, trained, (Turn(before[1], before[0], "trained by an older MOrA"),))
    if not trained:
        return None
    newest = max(trained, key=lambda digest: (trained[digest], digest))
    return Versions(newest, None, trained, (Turn(trained[newest], newest, f"the newest, as {POINTER} was lost"),))


def _whole(model_folder: Path, *, copy_to: Path | None = None) -> tuple[str, datetime]:
    """The digest of a model, and when its folder was written; "" where it cannot be read.

    copy_to: the folder of the service, to which it is copied as a version.
    """
    from mora.model import folder as store

    try:
        contents = store.read(model_folder)
        at = datetime.fromtimestamp(int((model_folder / CARD).stat().st_mtime), UTC)
    except (MoraError, OSError):
        return "", datetime.fromtimestamp(0, UTC)
    if copy_to is not None:
        store.write(version_folder(copy_to, contents.digest), contents.files)
    elif short(contents.digest) != model_folder.name:
        return "", at
    return contents.digest, at


def _pruned(versions: Versions) -> Versions:
    needed = {versions.champion, versions.challenger, versions.previous, *versions.newest_first[:KEPT_VERSIONS]}
    return replace(versions, trained={digest: at for digest, at in versions.trained.items() if digest in needed})


def _text(versions: Versions) -> str:
    return json_text(
        {
            "schema_version": _SCHEMA_VERSION,
            "champion": versions.champion,
            "challenger": versions.challenger,
            "trained": {digest: versions.trained[digest].isoformat() for digest in versions.newest_first},
            "turns": [
                {"at": turn.at.isoformat(), "champion": turn.champion, "why": turn.why} for turn in versions.turns
            ],
        }
    )


def _tidy(folder: Path, versions: Versions) -> None:
    """Delete what is kept no more, what killed processes left, and the files of a model of the older layout."""
    kept = {short(digest) for digest in versions.trained}
    sweep_folders(folder / VERSIONS, ".*.new")
    try:
        for path in (folder / VERSIONS).iterdir():
            if is_version_name(path.name) and path.name not in kept and not path.is_symlink():
                shutil.rmtree(path)
        if (folder / CARD).is_file():
            for path in folder.iterdir():
                is_of_model = path.suffix == ".npz" or (path.suffix == ".json" and path.name != POINTER)
                if path.is_file() and is_of_model and path.name != CARD and not path.name.startswith("."):
                    path.unlink()
            # Last: as long as it is there, a deletion that was interrupted is taken up again.
            (folder / CARD).unlink()
    except OSError as failure:
        raise write_error(folder, failure) from failure
