"""What code a result depends on, as a digest: results that were kept are valid as long as it is the same.

A change of another module leaves them valid.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from mora import registry


@cache
def code_of(seam: str, name: str, *, also: tuple[str, ...] = ()) -> str:
    """A digest of a registered object's module and of MOrA's modules that it imports, and theirs; and of numpy.

    also: modules that it loads by name, which no import tells of.
    """
    package = registry.package_of(seam, name) if seam in registry.OPEN_SEAMS else None
    modules = (registry.load(seam, name).__module__, *also)
    made = hashlib.sha256(f"{metadata.version('numpy')} {package}".encode())
    for path in sorted({path for module in modules for path in _modules(module)}):
        made.update(path.read_bytes())
    return made.hexdigest()


@cache
def code_within(module: str, packages: tuple[str, ...]) -> str:
    """A digest of a module and of the modules of some packages that it imports, and theirs; and of numpy."""
    made = hashlib.sha256(metadata.version("numpy").encode())
    for path in sorted(_modules(module, packages)):
        made.update(path.read_bytes())
    return made.hexdigest()


def _modules(module: str, packages: tuple[str, ...] = ("mora",)) -> set[Path]:
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = None if name in found else find_spec(name)
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            continue
        found[name] = path = Path(spec.origin)
        waiting += [one for one in _imports(path) if f"{one}.".startswith(tuple(f"{each}." for each in packages))]
    return set(found.values())


def _imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs, anywhere in it; those for type checking alone are left out."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            # `from mora.detectors import frames` names a module, too.
            names |= {f"{node.module}.{alias.name}" for alias in node.names if _is_module(node.module, alias.name)}
    return names


def _is_module(package: str, name: str) -> bool:
    spec = None if package.split(".")[0] != "mora" else find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    return any((Path(place) / f"{name}.py").is_file() or (Path(place) / name).is_dir() for place in places)
