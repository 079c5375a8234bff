"""Print the packages of extras, one a line, as pyproject.toml names them; without an extra, those of the base install.

    python scripts/packages.py train serve

For the image, which installs them before MOrA itself: they change less often, and their layer is the large one.
"""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"]
    for name in extras:
        if name not in known:
            sys.exit(f"pyproject.toml has no extra {name!r}; it has: {', '.join(known)}")
    lists = [known[name] for name in extras] if extras else [project["dependencies"]]
    # An extra that includes others says so by MOrA's own name; the image's list names each.
    print(*(line for some in lists for line in some if not line.startswith(project["name"])), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
