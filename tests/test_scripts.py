"""The install scripts say by name what to install where they cannot do it themselves, and leave alone what is there."""

from __future__ import annotations

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


class Machine:
    """A copy of the scripts in a folder of its own, and a PATH that holds only what is put there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.path = folder / "bin"
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        shutil.copy(ROOT / "requirements.lock", self.checkout)
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


def test_programs_that_are_there_are_left_alone(machine: Machine) -> None:
    for name in ("prometheus", "promtool", "kubectl"):
        machine.has(name)
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


def test_a_python_that_does_not_fit_is_said_before_anything_is_installed(machine: Machine) -> None:
    machine.has("python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "MOrA runs on Python 3.11 to 3.13; this machine has Python 3.9.2." in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_named_python_that_does_not_fit_is_said(machine: Machine) -> None:
    done = machine.run("install.sh", MORA_PYTHON="/nonexistent/python")
    assert done.returncode == 1
    assert "MORA_PYTHON=/nonexistent/python is no Python 3.11 to 3.13." in done.stderr


def test_no_python_and_no_apt_names_what_to_install(machine: Machine) -> None:
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "There is no Python here." in done.stderr
    assert "python3 python3-venv" in done.stderr


def test_a_processor_without_packages_is_said(machine: Machine) -> None:
    (machine.path / "uname").unlink()
    machine.has("uname", 'if [ "$1" = -m ]; then echo riscv64; else echo Linux; fi')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "TensorFlow and Prophet have no packages for Linux on riscv64." in done.stderr


def test_a_disk_that_is_too_small_is_said(machine: Machine) -> None:
    (machine.path / "df").unlink()
    machine.has("df", 'echo Filesystem 1024-blocks Used Available; echo "/dev/x 9 9 1048576 99% /"')
    done = machine.run("install.sh")
    assert done.returncode == 1
    assert "Only 1024 MiB are free here; the packages need 4096 MiB." in done.stderr


def test_make_says_what_can_be_made(tmp_path: Path) -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "check", "bench", "dataset", "install", "clean"):
        assert f"make {target} " in shown


def test_ci_runs_the_commands_that_a_person_types() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make check" in steps
    assert "make test" in steps
