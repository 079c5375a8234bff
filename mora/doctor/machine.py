"""What this machine has: Python, packages, programs, limits that can be set, disk, sandboxes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mora.doctor.finding import Check, State
from mora.errors import ToolMissing
from mora.extras import EXTRAS, missing
from mora.quantities import GIB, readable_bytes
from mora.tools import find_tool

if TYPE_CHECKING:
    from mora.settings import Settings

_LOCK = Path(__file__).resolve().parent.parent.parent / "requirements.lock"
_DISTRIBUTION = "mora-rightsizing"
_ENOUGH_DISK_BYTES = GIB  # a day of twelve metrics is under 2 MB; training writes little; Prometheus' own data is more
_PROGRAM_SECONDS = 20


def check_python(settings: Settings) -> Iterator[Check]:
    """The Python that runs MOrA, and its machine."""
    version, machine = platform.python_version(), f"{platform.system()} {platform.machine()}"
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if fits else "TensorFlow has packages for Python 3.11 to 3.13."
    yield Check("python", State.OK if fits else State.WARNING, f"{version} on {machine}, {sys.prefix}", remedy)


def check_packages(settings: Settings) -> Iterator[Check]:
    """Installed packages against the lock file of a checkout; without one, against what MOrA requires."""
    locked = locked_versions(_LOCK.read_text(encoding="utf-8")) if _LOCK.is_file() else {}
    if not locked:
        absent = sorted(name for name in _required_names() if _version(name) is None)
        if absent:
            yield Check(
                "packages", State.MISSING, f"not installed: {', '.join(absent)}", "Install MOrA again with pip."
            )
        else:
            yield Check("packages", State.OK, "everything that MOrA requires is installed")
        return
    absent, other = [], []
    for name, versions in locked.items():
        found = _version(name)
        if found is None and None not in versions:
            absent.append(name)
        elif found is not None and found not in versions:
            other.append(f"{name} {found}, locked {' or '.join(sorted(v for v in versions if v))}")
    if absent:
        yield Check("packages", State.MISSING, f"not installed: {', '.join(absent)}", "Run: make install")
    if other:
        yield Check("packages", State.WARNING, f"not the tested versions: {'; '.join(other)}", "Run: make install")
    if not absent and not other:
        yield Check("packages", State.OK, f"all {len(locked)} as in requirements.lock")


def check_extras(settings: Settings) -> Iterator[Check]:
    """Which optional commands work here. An extra that is not installed is a choice, so nothing is wrong."""
    lacking = {extra: missing(extra) for extra in EXTRAS}
    installed = [extra for extra, packages in lacking.items() if not packages]
    words = f"installed: {', '.join(installed) or 'none'}"
    absent = [f"{extra} ({', '.join(packages)})" for extra, packages in lacking.items() if packages]
    if absent:
        words += f"; not installed: {', '.join(absent)}. To install all: pip install 'mora-rightsizing[all]'"
    yield Check("extras", State.OK, words)


def locked_versions(text: str) -> dict[str, set[str | None]]:
    """Package -> the versions that a lock file pins for some platform; None among them where others need not have it.

    >>> locked = locked_versions("numpy==2.4.6\\ncolorama==0.4.6 ; sys_platform == 'win32'\\n")
    >>> locked["numpy"] == {"2.4.6"}, locked["colorama"] == {"0.4.6", None}
    (True, True)
    """
    versions: dict[str, set[str | None]] = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([^\s;]+)\s*(;.*)?$", text, re.MULTILINE):
        versions.setdefault(name, set()).update({version, None} if marker else {version})
    return versions


def _required_names() -> list[str]:
    requirements = metadata.requires(_DISTRIBUTION) or []
    return [
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in requirements
        if "extra ==" not in requirement
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_programs(settings: Settings) -> Iterator[Check]:
    """The programs that MOrA starts, with their versions."""
    # promtool is for the tests of a checkout.
    tests = (("promtool", ["--version"], "the tests of the queries"),) if _LOCK.is_file() else ()
    for name, arguments, needed_for in (
        ("prometheus", ["--version"], "the sandbox"),
        *tests,
        ("kubectl", ["version", "--client", "-o", "json"], "applying what `-o patch` and the others print"),
    ):
        try:
            path = find_tool(name)
        except ToolMissing as error:
            # The sandbox starts a Prometheus; it is not missing where the sandbox is not installed.
            is_needed = name == "prometheus" and not missing("sandbox")
            state = State.MISSING if is_needed else State.WARNING
            yield Check(name, state, f"not found; needed for {needed_for}", error.hint or "")
            continue
        yield _program(name, path, arguments)


def _program(name: str, path: Path, arguments: list[str]) -> Check:
    again = "Install it again."
    try:
        done = subprocess.run(
            [str(path), *arguments], capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, State.WARNING, f"{path} does not run: {error}", again)
    output = done.stdout + done.stderr
    version = _version_in(output)
    if done.returncode or version is None:
        return Check(name, State.WARNING, f"{path} does not print its version: {output.strip()[:200]}", again)
    return Check(name, State.OK, f"{version}, {path}")


def _version_in(text: str) -> str | None:
    """The version in what a program prints about itself.

    >>> _version_in("prometheus, version 2.42.0+ds (branch: debian)"), _version_in('{"gitVersion": "v1.20.2"}')
    ('2.42.0', '1.20.2')
    """
    found = re.search(r'(?:version |"gitVersion": "v)([0-9]+(?:\.[0-9]+)+)', text)
    return found.group(1) if found else None


def check_limits(settings: Settings) -> Iterator[Check]:
    """Whether the sandbox can use the limits of the kernel."""
    from mora.sandbox import cgroups

    tree = cgroups.open_tree(f"doctor-{os.getpid()}")
    if isinstance(tree, cgroups.NoCgroups):
        yield Check(
            "limits",
            State.WARNING,
            f"{tree.reason}; in the sandbox the supervisor enforces limits and measures the processes",
            "Run as root, or in a delegated group (systemd-run --user -p Delegate=yes), for the kernel's own figures.",
        )
        return
    tree.remove_all()
    yield Check("limits", State.OK, f"cgroups {tree.version} are writable: the kernel limits and measures the sandbox")


def check_disk(settings: Settings) -> Iterator[Check]:
    """Free space where data is collected."""
    folder = next(
        parent for parent in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents) if parent.exists()
    )
    free_bytes = shutil.disk_usage(folder).free
    enough = free_bytes >= _ENOUGH_DISK_BYTES
    remedy = "" if enough else f"Free some space: collecting needs {readable_bytes(_ENOUGH_DISK_BYTES)} free."
    yield Check("disk", State.OK if enough else State.WARNING, f"{readable_bytes(free_bytes)} free in {folder}", remedy)


def check_sandboxes(settings: Settings) -> Iterator[Check]:
    """The sandboxes that run."""
    from mora.sandbox import state

    running = state.list_sandboxes()
    yield Check("sandboxes", State.OK, f"running: {', '.join(running)}" if running else "none running")
