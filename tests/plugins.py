"""Packages with entry points, installed for a test as pip would leave them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import mora.testing
from mora import registry


def install(folder: Path, package: str, entries: dict[str, str], source: str = "", version: str = "1.2") -> None:
    """A module of the package's name and a .dist-info beside it; `folder` must be on sys.path."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mora.plugins]", *lines, ""]))
    registry.plugins.cache_clear()


def forget(folder: Path) -> None:
    """As if nothing of the folder had been imported or found."""
    registry.plugins.cache_clear()
    for name in [name for name in sys.modules if (folder / f"{name}.py").is_file()]:
        del sys.modules[name]


def documented(first_line: str) -> str:
    """The block of code in mora.testing's docstring that begins with a line."""
    lines = (mora.testing.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == first_line)
    end = next(n for n in range(start, len(lines)) if lines[n] and not lines[n].startswith("    "))
    return textwrap.dedent("\n".join(lines[start:end])) + "\n"
