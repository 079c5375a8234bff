"""What searches of a service found, kept beside its models: a JSON that the next training reads, and the studies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mora import registry
from mora.documents import Misfit, anything, check, fields, mapping, number, optional, parse, text, whole
from mora.domain import check_name
from mora.errors import BadInput, BadModel, MoraError
from mora.files import json_text, open_lock, read_regular, write_files
from mora.seams import Tunable
from mora.tuning.search import Found, with_options
from mora.tuning.study import Options

# Of no service: names of services and namespaces begin with a letter or a digit.
FOLDER = ".tuning"
_SCHEMA = 1
_MOST_BYTES = 2**20
_DOCUMENT = fields(
    {
        "schema_version": whole(_SCHEMA, _SCHEMA),
        "searched": mapping(fields({"options": optional(mapping(number())), "text": text, "found": anything})),
    }
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What earlier searches came to. options: forecaster -> the settings that were better than the default ones.

    texts: forecaster -> the search in a sentence.
    """

    options: Mapping[str, Options] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def study_file(models_dir: Path | str, service: str, namespace: str) -> Path:
    """The studies of a service, a SQLite file."""
    check_name(service, "service name")
    return Path(models_dir) / FOLDER / check_name(namespace, "namespace") / f"{service}.db"


@contextmanager
def alone(models_dir: Path | str, service: str, namespace: str) -> Iterator[None]:
    """Keep other processes from searching the same service; MoraError where one does already."""
    descriptor = open_lock(study_file(models_dir, service, namespace).with_suffix(".lock"))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as failure:
            raise MoraError(
                f"Another mora train --tune searches the settings of {service!r}.",
                hint="Wait for it, then start again: what it has tried is kept.",
            ) from failure
        except OSError:  # a file system that cannot lock
            pass
        yield
    finally:
        os.close(descriptor)


def keep(models_dir: Path | str, service: str, namespace: str, found: Sequence[Found]) -> None:
    """Write what a search came to; of forecasters that it did not search, what was found before stays."""
    path = _file(models_dir, service, namespace)
    before = _read(path)
    now: dict[str, Any] = {**before}
    for one in found:
        if one.failure:
            continue
        now[one.forecaster] = {
            "options": None if one.options is None else dict(one.options),
            "text": one.text,
            "found": {"searched": list(one.searched), "unseen": None if one.unseen is None else list(one.unseen)},
        }
    write_files([(path, json_text({"schema_version": _SCHEMA, "searched": now}))])


def kept(models_dir: Path | str, service: str, namespace: str) -> Kept:
    """What was found before; nothing where nothing was searched. Raises BadModel where the file is damaged."""
    path = _file(models_dir, service, namespace)
    searched = _read(path)
    options = {name: one["options"] for name, one in searched.items() if one["options"] is not None}
    for name, own in options.items():
        if not _fits(name, own):
            raise _damaged(path, f"the settings of {name} are not those of a search")
    return Kept(options, {name: one["text"] for name, one in searched.items()})


def settings_with(name: str, options: Options) -> Any:
    """The settings of a registered forecaster with what a search found."""
    return with_options(registry.load("forecasters", name)(), options).settings


def _fits(name: str, options: Options) -> bool:
    """Whether every option is a knob of the forecaster, within its bounds."""
    try:
        forecaster = registry.load("forecasters", name)()
    except BadInput:  # of a package that is not installed any more: no one trains it
        return True
    knobs = forecaster.knobs if isinstance(forecaster, Tunable) else {}
    return all(knob in knobs and knobs[knob].holds(value) for knob, value in options.items())


def _file(models_dir: Path | str, service: str, namespace: str) -> Path:
    return study_file(models_dir, service, namespace).with_suffix(".json")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = parse(read_regular(path, _MOST_BYTES))
        check(document, _DOCUMENT)
    except FileNotFoundError:
        return {}
    except OSError as failure:
        raise _damaged(path, failure.strerror or str(failure)) from failure
    except Misfit as failure:
        raise _damaged(path, str(failure)) from failure
    searched: Mapping[str, Any] = document["searched"]
    return searched


def _damaged(path: Path, why: str) -> BadModel:
    return BadModel(
        f"{path} cannot be used: {why}. It keeps the settings that mora train --tune found.",
        hint="Delete it to train with the default settings, or search again.",
    )
