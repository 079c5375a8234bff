"""Finds the programs that MOrA starts; where one is missing, the error says what to install."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mora.errors import ToolMissing

# Program -> the Debian package that brings it.
_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "kubectl": "kubernetes-client",
    "amtool": "prometheus-alertmanager",
}

# Where `make` puts the programs that it fetches; in an installed package there is no such folder.
_FETCHED = Path(__file__).resolve().parent.parent / ".tools" / "bin"


def find_tool(name: str) -> Path:
    """The program `name` on PATH, in the folder $MORA_TOOLS, or where `make install` puts what it fetches.

    Raises ToolMissing, naming the package to install.
    """
    folders = [os.environ.get("PATH", os.defpath), os.environ.get("MORA_TOOLS", ""), str(_FETCHED)]
    found = shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))
    if found is None:
        package = _PACKAGES.get(name, name)
        raise ToolMissing(
            f"The program {name!r} is not installed: it is neither on PATH, nor in $MORA_TOOLS, nor in {_FETCHED}.",
            hint=f"Install the Debian package {package!r} (apt-get install {package}), or run `make install`.",
        )
    return Path(found).absolute()
