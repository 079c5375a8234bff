"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mora.errors import BadInput, MoraError

_LONGEST_PREFIX = 230


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as MOrA writes it: indented, one line end, never NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_files(files: Iterable[tuple[Path, str]]) -> None:
    """Write texts to files, all of them or none, in their order; the folders are made.

    Each goes to a temporary file in its folder, of a random name, is flushed to the disk and then
    renamed, so that a reader, or a crash, finds the old file or the new one, and two writers of one file never mix. A
    file keeps its mode. A symbolic link is replaced, never followed. A temporary file that a crash left is deleted by
    the next try. Raises MoraError where the disk is full or refuses.
    """
    pending: list[tuple[Path, Path, int]] = []
    path = Path()
    try:
        for path, text in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            temporary, descriptor = _temporary(path)
            pending.append((temporary, path, descriptor))
            _keep_mode(path, descriptor)
            _write_all(descriptor, text.encode())
            os.fsync(descriptor)
        for temporary, path, _ in pending:
            temporary.replace(path)
        for folder in {path.parent for _, path, _ in pending}:
            sync_folder(folder)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        for temporary, _, descriptor in pending:
            with contextlib.suppress(OSError):  # gone after its rename; a read-only disk refuses even to look
                temporary.unlink()
            os.close(descriptor)


def made_folder(folder: Path, what: str) -> Path:
    """A folder to keep results in, made where it is missing. what: is kept, "Scores". BadInput where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as refused:
        raise BadInput(
            f"{what} cannot be kept in {folder}: {refused.strerror}.", hint="Name another folder with --cache DIR."
        ) from refused
    return folder


def _temporary(path: Path) -> tuple[Path, int]:
    """A new temporary file for `path`, locked as long as its descriptor is open, so that no other writer deletes it."""
    while True:
        temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(6)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks; its leftovers are swept all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # swept before it was locked


def _keep_mode(path: Path, descriptor: int) -> None:
    """Give a temporary file the mode of the file that it replaces; the usual one where there is none."""
    with contextlib.suppress(OSError):
        before = path.lstat()
        if stat.S_ISREG(before.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _prefix(path: Path) -> str:
    # File systems take names of 255 bytes.
    return f".{os.fsdecode(os.fsencode(path.name)[:_LONGEST_PREFIX])}."


def _sweep(path: Path) -> None:
    """Delete the temporary files that ended processes left for `path`."""
    for left in [path.with_name(f".{path.name}.tmp"), *path.parent.glob(f"{glob.escape(_prefix(path))}*.tmp")]:
        with contextlib.suppress(OSError):
            if left.is_symlink() or (left.is_file() and not _is_locked(left)):
                left.unlink()


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_regular(path: Path, most_bytes: int, *, follows_links: bool = True) -> bytes:
    """The contents of a regular file of at most so many bytes.

    OSError with a readable reason where it cannot be read, is larger, or is a pipe, a device or a folder: those may
    never end, or never begin. follows_links: whether the path itself may be a symbolic link.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follows_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link") from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        # A file may grow while it is read.
        if found.st_size > most_bytes or len(data := file.read(most_bytes + 1)) > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than the {most_bytes / 2**20:,.0f} MiB that are read")
        return data


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, made where it is not there; its folder is made.

    MoraError where the file, or its folder, is a symbolic link or anything else than a regular file: a dataset from
    elsewhere could name any file of yours by it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.is_symlink():
            raise _not_regular(path.parent, "folder")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP or (path.exists() and not path.is_file()):
            raise _not_regular(path, "file") from error
        raise write_error(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path, "file")
    return descriptor


def _not_regular(path: Path, what: str) -> MoraError:
    return MoraError(f"{path} is not a {what} of its own but a link or a device.", hint="Delete it, then try again.")


@contextlib.contextmanager
def folder_lock(folder: Path, *, wait_seconds: float = 10.0) -> Iterator[None]:
    """Lock a folder against other writers, which take turns; it is made where it is not there.

    The folder itself is locked, so no lock file stays behind. MoraError where another process still has it after
    `wait_seconds`. A file system that cannot lock folders is written without.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise MoraError(
                        f"Another process is writing to {folder}.",
                        hint="Wait until it ends, or name another folder.",
                    ) from error
                time.sleep(0.02)
                continue
            except OSError as error:
                if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise write_error(folder, error) from error
            break
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """A temporary folder for one run, `mora-WHAT-...`, deleted at its end; what killed runs left is deleted first.

    MoraError where there can be none.
    """
    try:
        root = Path(tempfile.gettempdir())
        sweep_folders(root, f"mora-{glob.escape(what)}-*")
        folder, descriptor = locked_folder(root, f"mora-{what}-")
    except OSError as error:
        raise MoraError(
            f"A temporary folder cannot be created: {error.strerror}.",
            hint="Free some space there, or set TMPDIR to another folder.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextlib.contextmanager
def own_temporary_folder(what: str) -> Iterator[Path]:
    """A scratch_folder() that is also where this process, and those that it starts, have their temporary files."""
    with scratch_folder(what) as folder:
        before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            if variable is not None:
                os.environ["TMPDIR"] = variable


def locked_folder(parent: Path, prefix: str, suffix: str = "") -> tuple[Path, int]:
    """A new folder, and a descriptor that keeps it from sweep_folders() as long as it is open."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=parent))
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # swept before it was opened
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)  # swept before it was locked


def sweep_folders(parent: Path, pattern: str) -> None:
    """Delete the folders of this user that ended processes left; those that are still locked stay."""
    for left in parent.glob(pattern):
        with contextlib.suppress(OSError):
            status = left.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not _is_locked(left):
                shutil.rmtree(left, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk: a new file's name is in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(path: Path, error: OSError) -> MoraError:
    """The MoraError of a file that cannot be written: which, why, and what to do."""
    cures = {
        errno.ENOSPC: "Free some space, or name a folder on another disk. What was finished before is kept.",
        errno.EDQUOT: "Your quota is used up: free some space, or name another folder.",
        errno.EACCES: "Name a folder that you may write to.",
        errno.EPERM: "Name a folder that you may write to.",
        errno.EROFS: "The file system is read-only: name another folder.",
        errno.ENOTDIR: "A file stands where a folder is needed.",
    }
    return MoraError(f"Cannot write {path}: {error.strerror}.", hint=cures.get(error.errno or 0))
