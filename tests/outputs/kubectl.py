"""Every kubectl on this machine, so that each output is checked with an old and a new one; and what each takes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# kubectl 1.21 is the first to carry a kustomize (4.0.5) that reads today's fields.
FIRST_MODERN_MINOR = 21


@dataclass(frozen=True)
class Kubectl:
    """One kubectl: where it is and what it says it is."""

    path: Path
    version: str
    minor: int

    @property
    def is_modern(self) -> bool:
        return self.minor >= FIRST_MODERN_MINOR

    @property
    def kustomize_version(self) -> str:
        """A version of the generation of kustomize that this kubectl carries."""
        return "5.5.0" if self.is_modern else "2.0.3"

    def run(self, *arguments: str) -> str:
        """stdout; a failure shows what kubectl said. No cluster is ever meant: KUBECONFIG is empty."""
        done = subprocess.run(
            [str(self.path), *arguments], capture_output=True, text=True, env={"KUBECONFIG": os.devnull}, timeout=60
        )
        assert done.returncode == 0, f"kubectl {self.version} {' '.join(arguments)}: {done.stderr}"
        return done.stdout


@cache
def found() -> tuple[Kubectl, ...]:
    """One of each version, wherever mora's find_tool looks and where `make install` keeps those that it fetched."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), os.environ.get("MORA_TOOLS", "")]
    candidates = [Path(folder) / "kubectl" for folder in folders if folder]
    candidates += [CHECKOUT / ".tools" / folder / "kubectl" for folder in ("bin", "debian", "newer")]
    versions: dict[str, Kubectl] = {}
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK):
            said = subprocess.run(
                [str(path), "version", "--client", "-o", "json"], capture_output=True, text=True, check=True, timeout=60
            )
            client = json.loads(said.stdout)["clientVersion"]
            minor = int("".join(filter(str.isdigit, client["minor"])))
            versions.setdefault(client["gitVersion"], Kubectl(path, client["gitVersion"], minor))
    return tuple(versions.values())


def newest() -> Kubectl:
    """The newest one; where there is none, something that no test takes for modern and that cannot be run."""
    return max(found(), key=lambda tool: tool.minor, default=Kubectl(Path("kubectl"), "not found", 0))


def each(*, only_modern: bool = False) -> list[object]:
    """Parameters for a test: every kubectl found, and a skip in words for a generation that is missing."""
    parameters: list[object] = []
    for is_modern, words in ((False, "before 1.21 (Debian's kubernetes-client)"), (True, "of 1.21 or later")):
        if only_modern and not is_modern:
            continue
        of_generation = [kubectl for kubectl in found() if kubectl.is_modern is is_modern]
        parameters += [pytest.param(kubectl, id=f"kubectl-{kubectl.version}") for kubectl in of_generation]
        if not of_generation:
            reason = f"no kubectl {words} on PATH, in $MORA_TOOLS or in .tools: make install"
            skip = pytest.mark.skip(reason=reason)
            parameters.append(pytest.param(None, marks=skip, id="kubectl-new" if is_modern else "kubectl-old"))
    return parameters
