"""The install scripts print one line a step, name what a person has to install, and touch nothing that is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What every Linux has; apt-get, dpkg-deb, uv, Python and the programs that MOrA starts are left out on purpose.
PLAIN = (
    "bash",
    "dirname",
    "mkdir",
    "mktemp",
    "mv",
    "ln",
    "rm",
    "cat",
    "id",
    "uname",
    "df",
    "awk",
    "sha256sum",
    "cut",
    "flock",
)
# A Python whose pip is as talkative as one whose configuration names folders that are not there.
NOISY_PYTHON = """
case "$*" in
  --version) echo "Python 3.11.2" ;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "a virtual environment" ;;
  *"pip install"*requirements.lock)
    echo "WARNING: Location 'file:///opt/simple/absl-py/' is ignored: it is neither a file nor a directory." >&2
    echo "Ignoring colorama: markers 'sys_platform == \"win32\"' don't match your environment"
    echo "Collecting absl-py==2.5.1"
    [ -z "${PIP_FAILS:-}" ] || { echo "ERROR: No matching distribution found for absl-py==2.5.1" >&2; exit 1; } ;;
  *"pip check"*) echo "No broken requirements found." ;;
  *libgomp*) [ -z "${NO_OPENMP:-}" ] || exit 1 ;;
  *) : ;;
esac
"""


class Machine:
    """A copy of the scripts in a folder of its own, and a PATH that holds only what is put there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.path = folder / "bin"
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout)
        self.path.mkdir()
        for name in PLAIN:
            found = shutil.which(name)
            assert found is not None
            (self.path / name).symlink_to(found)

    def has(self, name: str, script: str = "exit 0") -> None:
        program = self.path / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.path / "bash"), str(self.checkout / "scripts" / script)],
            env={"PATH": str(self.path), "HOME": str(self.checkout), **environment},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("missing", "package"), [("promtool", "prometheus"), ("kubectl", "kubernetes-client")])
def test_a_program_that_cannot_be_fetched_is_named_with_its_package(
    machine: Machine, missing: str, package: str
) -> None:
    for name in {"prometheus", "promtool", "kubectl"} - {missing}:
        machine.has(name)
    done = machine.run("tools.sh")
    assert done.returncode == 1
    assert f"{missing} is not on PATH" in done.stderr
    assert f"apt-get install -y {package}" in done.stderr


def with_programs(machine: Machine) -> None:
    for name in ("prometheus", "promtool", "kubectl"):
        machine.has(name)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a person sees, with the seconds of a step left out."""
    return [re.sub(r"\b\d+ s\b", "N s", line) for line in (done.stdout + done.stderr).splitlines()]


def noisy(machine: Machine) -> Machine:
    """The machine with a Python whose pip prints a lot, and with the programs that MOrA starts."""
    machine.has("python3", NOISY_PYTHON)
    for name in ("cp", "find"):
        found = shutil.which(name)
        assert found is not None
        (machine.path / name).symlink_to(found)
    with_programs(machine)
    return machine


@pytest.mark.parametrize("is_root", [True, False])
def test_the_library_that_lightgbm_needs_is_installed_or_named(machine: Machine, is_root: bool) -> None:
    noisy(machine)
    machine.has("apt-get", f'echo "$@" >> {machine.path / "asked"}')
    (machine.path / "id").unlink()
    machine.has("id", f"echo {0 if is_root else 1000}")
    done = machine.run("install.sh", NO_OPENMP="1")
    assert done.returncode == 0, done.stderr
    if is_root:
        assert "libgomp1" in (machine.path / "asked").read_text(encoding="utf-8")
        assert "LightGBM's OpenMP library is not installed. Installing libgomp1" in done.stdout + done.stderr
    else:
        assert not (machine.path / "asked").exists()
        assert "LightGBM needs libgomp.so.1 (Debian's package libgomp1)" in done.stdout + done.stderr


def test_an_install_prints_one_line_a_step_and_logs_the_rest(machine: Machine) -> None:
    done = noisy(machine).run("install.sh")
    assert done.returncode == 0, done.stderr
    assert [line for line in lines_of(done) if "note:" not in line] == [
        "mora: [1/4] Making .venv with Python 3.11.2 ... N s",
        "mora: [2/4] Installing the packages of requirements.lock into .venv (4.4 GB, a few minutes) ... N s",
        "mora: [3/4] Installing MOrA into .venv ... N s",
        "mora: Ready after N s. The commands are in .venv/bin, the log is .tools/install.log.",
    ]
    log = (machine.checkout / ".tools" / "install.log").read_text(encoding="utf-8")
    assert "WARNING: Location" in log
    assert "Collecting absl-py" in log
    assert "No broken requirements found." in log


def test_a_second_install_prints_nothing(machine: Machine) -> None:
    noisy(machine).run("install.sh")
    log = machine.checkout / ".tools" / "install.log"
    before = log.read_text(encoding="utf-8")
    done = machine.run("install.sh")
    assert done.returncode == 0
    assert lines_of(done) == []
    assert log.read_text(encoding="utf-8") == before


def test_a_failed_install_shows_the_end_of_the_log_and_what_to_do(machine: Machine) -> None:
    done = noisy(machine).run("install.sh", PIP_FAILS="yes")
    assert done.returncode == 1
    shown = lines_of(done)
    at = shown.index("mora: The packages of requirements.lock could not be installed.")
    assert shown[at + 1] == "      .tools/install.log ends with:"
    assert "        ERROR: No matching distribution found for absl-py==2.5.1" in shown[at:]
    assert "WARNING: Location" not in done.stderr
    assert "Ignoring colorama" not in done.stderr
    assert "pip config list" in shown[-1]
    assert not (machine.checkout / ".venv" / "lock.stamp").exists()


def test_a_failed_fetch_shows_what_apt_printed(machine: Machine) -> None:
    machine.has("apt-get", "echo 'E: Unable to locate package prometheus' >&2; exit 100")
    machine.has("dpkg-deb")
    done = machine.run("tools.sh")
    assert done.returncode == 1
    assert lines_of(done) == [
        "mora: [4/4] Fetching Debian packages into .tools ...",
        "mora: prometheus is not on PATH, and Debian's package prometheus could not be fetched.",
        "      .tools/install.log ends with:",
        *["        E: Unable to locate package prometheus"] * 3,
        "      Install it (sudo apt-get install -y prometheus), or put prometheus on PATH, then run this again.",
    ]


def test_the_screen_stays_quiet_while_apt_installs_python(machine: Machine) -> None:
    machine.has("apt-get", f"echo Reading package lists; cp {machine.path / 'kept'} {machine.path / 'python3'}")
    noisy(machine)
    (machine.path / "python3").rename(machine.path / "kept")
    (machine.path / "id").unlink()
    machine.has("id", "echo 0")
    done = machine.run("install.sh")
    assert done.returncode == 0, done.stderr
    assert lines_of(done)[0] == "mora: No Python is installed. Installing python3 python3-venv ... N s"
    assert "Reading package lists" not in done.stdout + done.stderr


def test_installed_programs_are_not_fetched_again(machine: Machine) -> None:
    with_programs(machine)
    done = machine.run("tools.sh")
    assert done.returncode == 0, done.stderr
    assert "Debian's own kubectl could not be fetched" in done.stderr
    assert not (machine.checkout / ".tools" / "bin").exists()


def test_a_package_that_apt_cannot_download_is_named_and_nothing_half_unpacked_stays(machine: Machine) -> None:
    machine.has("apt-get", "exit 100")
    machine.has("dpkg-deb", "exit 2")
    done = machine.run("tools.sh")
    assert done.returncode == 1
    assert "apt-get install -y prometheus" in done.stderr
    assert [path for path in (machine.checkout / ".tools").iterdir() if path.name.startswith("fetch.")] == []


def test_a_python_that_does_not_fit_is_refused_before_anything_is_installed(machine: Machine) -> None:
    machine.has("python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "MOrA runs on Python 3.11 to 3.13; this machine has Python 3.9.2." in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_named_python_that_does_not_fit_is_refused(machine: Machine) -> None:
    done = machine.run("install.sh", MORA_PYTHON="/nonexistent/python")
    assert done.returncode == 1
    assert "MORA_PYTHON=/nonexistent/python is not a Python 3.11, 3.12 or 3.13." in done.stderr


def test_no_python_and_no_apt_names_what_to_install(machine: Machine) -> None:
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "No Python is installed." in done.stderr
    assert "python3 python3-venv" in done.stderr


def test_a_processor_without_packages_is_refused(machine: Machine) -> None:
    (machine.path / "uname").unlink()
    machine.has("uname", 'if [ "$1" = -m ]; then echo riscv64; else echo Linux; fi')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "TensorFlow and Prophet have no packages for Linux on riscv64." in done.stderr


def test_a_disk_that_is_too_small_is_refused(machine: Machine) -> None:
    (machine.path / "df").unlink()
    machine.has("df", 'echo Filesystem 1024-blocks Used Available; echo "/dev/x 9 9 1048576 99% /"')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "Only 1024 MiB are free here; the packages need 5120 MiB." in done.stderr


def test_make_lists_its_targets(tmp_path: Path) -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "check", "bench", "dataset", "install", "clean"):
        assert f"make {target} " in shown


def test_ci_runs_the_commands_that_a_person_types() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make check" in steps
    assert "make test" in steps
