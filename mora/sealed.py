"""Sealed folders: plain files with a card of checksums, written whole or not at all, verified when they are read.

Models and detectors are kept so. Nothing in such a folder is code, so loading runs none; what kind of thing it is, and
what its card must have, the room decides that keeps it (Kind).
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import hashlib
import io
import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from mora import documents
from mora.errors import BadInput, BadModel, MoraError
from mora.files import locked_folder, read_regular, sweep_folders

CARD = "card.json"
UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError)
"""What code raises that meets contents which no training wrote: amounts, names, fields and shapes of another kind.

No other: a fault of MOrA's own must not read as a model that has to be trained again.
"""
# What an archive raises beside that: no archive, torn, of a later format, or the header of an array that is no Python.
_NO_ARCHIVE = (EOFError, MemoryError, NotImplementedError, RecursionError, zipfile.BadZipFile, zlib.error, TokenError)

_MOST_CARD_BYTES, _MOST_FILE_BYTES = 16 * 2**20, 256 * 2**20
_LONGEST_WORDS = 200
_PACKED, _ENCRYPTED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), 0x1
_SUMS = documents.fields({"sha256": documents.text, "bytes": documents.whole(0, _MOST_FILE_BYTES)})
_STORED = documents.fields({"digest": documents.text, "files": documents.mapping(_SUMS)})


@dataclass(frozen=True, slots=True)
class Kind:
    """What a folder is one of. what: its word in messages, "model". option: the flag that names where they lie.

    again: a folder -> the command that makes it again. schema_version: the one that is written. card: a card that was
    read, and its version -> in the current schema; raises Misfit or one of UNREADABLE where it is not such a card.
    document: raises the same for a JSON file, by its name and contents, that cannot be.
    """

    what: str
    option: str
    again: Callable[[Path], str]
    schema_version: int
    card: Callable[[dict[str, Any], int], dict[str, Any]]
    document: Callable[[str, Any], None] = lambda name, document: None


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a folder, verified. digest: sha256 over the card, which has the checksum of every file.

    card: in the current schema, whatever it was written in. files: name -> bytes, the card's among them, as they are or
    will be on disk.
    """

    card: dict[str, Any]
    digest: str
    documents: Mapping[str, Any]
    arrays: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]
    files: Mapping[str, bytes]


def seal(
    card: Mapping[str, Any],
    documents: Mapping[str, Any],
    arrays: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
    *,
    schema_version: int,
) -> Contents:
    """The contents as they will be read back."""
    files = {name: _json(document) for name, document in documents.items()}
    files |= {name: _npz(of) for name, of in arrays.items()}
    sums = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in sorted(files.items())
    }
    full = json.loads(_json({"schema_version": schema_version, **card, "files": sums}))
    digest = _digest(full)
    files[CARD] = _json({**full, "digest": digest})
    return Contents(full, digest, documents, arrays, files)


def write(folder: Path, files: Mapping[str, bytes], kind: Kind) -> None:
    """Put the files in place of whatever was in the folder of this kind; whole, or not at all.

    They are written and flushed in a sibling folder, which then takes the name; what stands there changes places with
    it in one step. Raises MoraError where there is no room or no right to write.
    """
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise BadInput(
            f"{folder} exists and has something in it that is not a {kind.what}.",
            hint=f"Name another folder with {kind.option}, or empty this one.",
        )
    try:
        _write(folder, files, kind)
    except OSError as failure:
        raise MoraError(
            f"The {kind.what} cannot be written to {folder}: {failure.strerror}.",
            hint=f"Make room or name another folder with {kind.option}; the {kind.what} that was there is kept.",
        ) from failure


def _write(folder: Path, files: Mapping[str, bytes], kind: Kind) -> None:
    if folder.is_dir() and (inner := sorted(path.name for path in folder.iterdir() if path.is_dir())):
        # A namespace has a folder of its own beside the services of the default one: they may share a name.
        raise BadInput(
            f"{folder} also has the {kind.what}s of a namespace ({', '.join(inner)}), which would go with the old "
            f"{kind.what}.",
            hint=f"Name another folder with {kind.option}.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    _take_back(folder)
    for ending in (".new", ".old"):
        sweep_folders(folder.parent, f".{glob.escape(folder.name)}.*{ending}")
    fresh, lock = locked_folder(folder.parent, f".{folder.name}.", ".new")
    try:
        for name, data in files.items():
            with (fresh / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        fresh.chmod(0o755)
        _sync(fresh)
        _swap(fresh, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        os.close(lock)


def _take_back(folder: Path) -> None:
    """What a killed process had put aside (_swap), where nothing has taken its place."""
    aside = sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*.old"))
    if aside and not folder.exists():
        aside[-1].rename(folder)


def _swap(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
        return
    if _exchange(fresh, folder):
        return
    # A file system that cannot exchange: the old one steps aside, and comes back if the new one cannot take over.
    aside = fresh.with_suffix(".old")
    folder.rename(aside)
    try:
        fresh.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot (Linux can, on most file systems)."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    return exchange is not None and exchange(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder; the files themselves are flushed
            os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: Path, kind: Kind) -> Contents:
    """Read and verify; BadModel where it is torn, edited, not what such a folder has, or from a newer MOrA."""
    hint = f"Train it again: {kind.again(folder)}"
    try:
        card_bytes = read_regular(folder / CARD, _MOST_CARD_BYTES, follows_links=False)
        stored = documents.parse(card_bytes)
    except FileNotFoundError as failure:
        raise BadModel(f"{folder} has no {CARD}: it is no {kind.what}, or was not finished.", hint=hint) from failure
    except OSError as failure:
        raise BadModel(f"{folder / CARD} cannot be read: {failure.strerror}.", hint=hint) from failure
    except documents.Misfit as failure:
        raise BadModel(f"{folder / CARD} cannot be read ({failure}).", hint=hint) from failure
    if not isinstance(stored, dict) or type(stored.get("schema_version")) is not int:
        raise BadModel(f"{folder / CARD} is not the card of a {kind.what}: it has no schema version.", hint=hint)
    if stored["schema_version"] > kind.schema_version:
        raise BadModel(
            f"{folder} was written by a newer MOrA (schema {stored['schema_version']}, this one reads up to "
            f"{kind.schema_version}).",
            hint=f"Update MOrA, or train again with this one: {kind.again(folder)}",
        )
    try:
        documents.check(stored, _STORED)
        digest = stored.pop("digest")
        if digest != _digest(stored):
            raise BadModel(f"{folder / CARD} was edited: its checksum does not fit its contents.", hint=hint)
        card = kind.card(stored, stored["schema_version"])
    except (documents.Misfit, *UNREADABLE) as failure:
        raise BadModel(
            f"{folder / CARD} is not the card of a {kind.what}: {in_words(failure)}.", hint=hint
        ) from failure
    sizes = [sums["bytes"] for sums in stored["files"].values()]
    if sum(sizes) > _MOST_FILE_BYTES:
        raise BadModel(f"The files of {folder} have {sum(sizes):,} bytes, more than any {kind.what}.", hint=hint)
    data = {name: _verified(folder, name, sums, kind, hint) for name, sums in stored["files"].items()}
    known: dict[str, Any] = {}
    arrays: dict[str, Mapping[str, np.ndarray[Any, Any]]] = {}
    for name, raw in data.items():
        try:
            if name.endswith(".json"):
                known[name] = documents.parse(raw)
                documents.check(known[name], documents.anything)
                kind.document(name, known[name])
            elif name.endswith(".npz"):
                arrays[name] = _arrays(raw)
        except (documents.Misfit, *UNREADABLE) as failure:
            raise BadModel(f"{folder / name} cannot be read: {in_words(failure)}.", hint=hint) from failure
    return Contents(card, digest, known, arrays, {**data, CARD: card_bytes})


def in_words(failure: BaseException) -> str:
    """What went wrong in reading what somebody else may have made; of Python's own errors also the kind."""
    text = " ".join(str(failure).split())[:_LONGEST_WORDS]
    return (
        text
        if isinstance(failure, documents.Misfit)
        else f"{type(failure).__name__}: {text}"
        if text
        else repr(failure)
    )


def _verified(folder: Path, name: str, sums: Mapping[str, Any], kind: Kind, hint: str) -> bytes:
    if name != Path(name).name or name.startswith("."):
        raise BadModel(f"The card of {folder} names a file outside of itself ({name!r}).", hint=hint)
    path = folder / name
    try:
        data = read_regular(path, _MOST_FILE_BYTES, follows_links=False)
    except FileNotFoundError as failure:
        raise BadModel(f"{path} is missing: the {kind.what} is not complete.", hint=hint) from failure
    except (OSError, ValueError) as failure:  # ValueError: a name with a NUL
        words = failure.strerror if isinstance(failure, OSError) else failure
        raise BadModel(f"{path} cannot be read: {words}.", hint=hint) from failure
    if len(data) != sums["bytes"]:
        raise BadModel(f"{path} has {len(data)} bytes where its card has {sums['bytes']}: it is torn.", hint=hint)
    if hashlib.sha256(data).hexdigest() != sums["sha256"]:
        raise BadModel(f"{path} was edited: its checksum does not fit the card's.", hint=hint)
    return data


def _digest(card: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(card)).hexdigest()


def _json(document: Any) -> bytes:
    """The one way a document is written: sorted, floats to the last bit, no NaN."""
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _npz(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """The same arrays are the same bytes: entries carry a fixed date (`numpy.savez` stamps none of its own, either)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _arrays(raw: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a .npz: numbers and fixed-width text, each as large as its archive says, and no more in all."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_FILE_BYTES:
                raise documents.Misfit("its arrays are larger than any model's")
            for member in members:
                if member.compress_type not in _PACKED or member.flag_bits & _ENCRYPTED:
                    raise documents.Misfit(f"{member.filename!r} is packed in a way that no model is")
                with archive.open(member) as stream:
                    content = io.BytesIO(stream.read(_MOST_FILE_BYTES + 1))
                found[member.filename.removesuffix(".npy")] = _array(member.filename, content)
    except _NO_ARCHIVE as failure:
        raise documents.Misfit(in_words(failure)) from failure
    return found


def _array(name: str, content: io.BytesIO) -> np.ndarray[Any, Any]:
    # The header is read first: numpy makes room for what it promises before it looks whether that is there.
    version = np.lib.format.read_magic(content)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(content)
    size = math.prod(shape) * kind.itemsize
    if kind.kind not in "biufU" or min(shape, default=0) < 0 or size != len(content.getbuffer()) - content.tell():
        raise documents.Misfit(f"{name!r} is not an array of numbers or of text")
    content.seek(0)
    array: np.ndarray[Any, Any] = np.lib.format.read_array(content, allow_pickle=False)
    if kind.kind == "f" and not np.isfinite(array).all():
        raise documents.Misfit(f"{name!r} has numbers that are not finite")
    return array
