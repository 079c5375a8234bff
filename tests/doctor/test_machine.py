"""Packages and programs are named with their versions, and what does not run is reported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mora import tools
from mora.doctor import Check, State, examine, machine
from mora.settings import Settings
from tests.doctor.test_doctor import found


def test_packages_and_programs_are_named_with_their_versions(empty: Settings) -> None:
    checks = examine(empty)
    assert "requirements.lock" in found(checks, "packages")[0].words
    for program in ("prometheus", "promtool", "kubectl"):
        assert found(checks, program)[0].words[0].isdigit()


def test_a_missing_program_is_named_with_its_package(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(tools, "_FETCHED", empty.data_dir)
    checks = examine(empty)
    assert found(checks, "prometheus")[0].state is State.MISSING
    assert "kubernetes-client" in found(checks, "kubectl")[0].remedy


def test_a_base_install_needs_neither_prometheus_nor_promtool(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(tools, "_FETCHED", empty.data_dir)
    monkeypatch.setattr(machine, "_LOCK", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "psutil", None)
    checks = examine(empty)
    assert found(checks, "prometheus")[0].state is State.WARNING
    assert found(checks, "promtool") == []
    assert "sandbox (psutil)" in found(checks, "extras")[0].words


def test_a_program_that_does_not_run_is_reported(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "kubectl"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (check,) = found(examine(empty), "kubectl")
    assert (check.state, "no such thing" in check.words) == (State.WARNING, True)


def test_a_package_that_is_not_as_locked_is_named(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("typer==0.0.1\nno-such-package==1\nother-system==2 ; sys_platform == 'win32'\n")
    monkeypatch.setattr(machine, "_LOCK", lock)
    missing, other = found(examine(empty), "packages")
    assert missing == Check("packages", State.MISSING, "not installed: no-such-package", "Run: make install")
    assert other.state is State.WARNING
    assert other.words.endswith("locked 0.0.1")


def test_without_a_lock_file_the_requirements_of_the_package_are_looked_for(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_LOCK", tmp_path / "none")
    assert found(examine(empty), "packages")[0].state is State.OK
