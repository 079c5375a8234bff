"""What an install brings: packages, megabytes with bytecode, and how fast the first commands start in it.

    python experiments/benchmarks/install_size.py [base slim train all ...]

Each is a virtual environment of its own in a temporary folder, without pip: a wheel of this checkout with the extra,
its packages as requirements.lock pins them, from the package index that pip is configured with. `mora recommend --all`
sizes a shop of 14 workloads from two weeks in a real Prometheus. At most, for the base install: 400 MB, 0.3 s for
`mora --help`.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fleet import rig

ROOT = Path(__file__).resolve().parents[2]
# The extras of the image's target slim; those of its target full are all.
SLIM = ",".join(
    re.findall(r'^ARG SLIM="(.+)"$', (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[0].split()
)
INSTALLS = ("base", "slim", "train", "all")
ROUNDS = 5
MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "installs", nargs="*", default=INSTALLS, help="base, slim, or an extra; by default base, slim, train, all"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = make_wheel(folder)
        with rig.serving(folder, rig.shop(time.time() + 3600)) as url:
            recommend = ["recommend", "--all", "-n", "shop", "--prometheus", url, "--no-kubernetes"]
            print(f"wheel of MOrA: {wheel.stat().st_size / MB:.1f} MB, {len(zipfile.ZipFile(wheel).namelist())} files")
            print(
                f"{'install':<10}{'packages':>10}{'MB':>8}{'installed':>14}{'mora --help':>20}{'recommend --all':>20}"
            )
            for name in options.installs:
                started = time.perf_counter()
                environment = make_environment(folder / name, wheel, name)
                taken = time.perf_counter() - started
                mora = environment / "bin" / "mora"
                helped, recommended = (start([str(mora), *what], folder) for what in (["--help"], recommend))
                print(
                    f"{name:<10}{packages(environment):>10}{megabytes(environment):>8.0f}{taken:>12.0f} s"
                    f"{helped:>20}{recommended:>20}",
                    flush=True,
                )


def pip(*arguments: str) -> None:
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], env=quiet, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"pip {arguments[0]} failed:\n{done.stderr[-2000:]}")


def make_wheel(folder: Path) -> Path:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_environment(folder: Path, wheel: Path, name: str) -> Path:
    """A virtual environment with MOrA and one extra ("base": none; "slim": those of the slim image)."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    what = str(wheel) if name == "base" else f"{wheel}[{SLIM if name == 'slim' else name}]"
    pip("--python", str(folder / "bin" / "python"), "install", "--constraint", str(ROOT / "requirements.lock"), what)
    return folder


def packages(environment: Path) -> int:
    """How many packages are installed, MOrA included."""
    return len(list(environment.glob("lib/*/site-packages/*.dist-info")))


def megabytes(environment: Path) -> float:
    return sum(path.lstat().st_size for path in environment.rglob("*") if not path.is_dir()) / MB


def start(command: list[str], folder: Path) -> str:
    """Wall and CPU seconds, the medians of a few starts, after one for the page cache."""
    walls, cpus = [], []
    for _ in range(ROUNDS + 1):
        wall, cpu = time.perf_counter(), cpu_seconds()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return f"{statistics.median(walls[1:]):.2f} s ({statistics.median(cpus[1:]):.2f} CPU)"


def cpu_seconds() -> float:
    """What the processes that this one started and waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
