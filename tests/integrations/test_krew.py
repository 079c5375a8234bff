"""What krew installs: the manifest holds to krew's rules, and kubectl runs what the archive has."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora import __version__
from mora.tools import find_tool
from tests.running import command

ROOT = Path(__file__).parents[2]
# Of krew's own validation (internal/index/validation): names, versions, digests.
NAME, DIGEST = re.compile(r"^[\w-]+$"), re.compile(r"^[a-f0-9]{64}$")


def released(folder: Path) -> tuple[Path, dict[str, Any]]:
    script = ROOT / "integrations" / "krew" / "release.py"
    arguments = ("--url", "https://files.example/v1/", "--homepage", "https://mora.example", "--out", str(folder))
    subprocess.run([sys.executable, str(script), *arguments], check=True, capture_output=True)
    manifest = yaml.safe_load((folder / "mora.yaml").read_text(encoding="utf-8"))
    return folder / f"kubectl-mora-v{__version__}.tar.gz", manifest


def test_the_manifest_holds_to_krews_rules_and_names_its_archive(tmp_path: Path) -> None:
    archive, manifest = released(tmp_path)
    assert manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert manifest["kind"] == "Plugin"
    assert NAME.match(manifest["metadata"]["name"])
    spec = manifest["spec"]
    assert spec["version"] == f"v{__version__}"
    assert 0 < len(spec["shortDescription"]) <= 50
    assert "\n" not in spec["shortDescription"]
    assert {platform["selector"]["matchLabels"]["os"] for platform in spec["platforms"]} == {"linux", "darwin"}
    with tarfile.open(archive) as opened:
        inside = set(opened.getnames())
    for platform in spec["platforms"]:
        assert DIGEST.match(platform["sha256"])
        assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert platform["uri"] == f"https://files.example/v1/{archive.name}"
        assert platform["bin"] in inside
        assert {file["from"] for file in platform["files"]} == inside


def test_the_same_checkout_makes_the_same_archive(tmp_path: Path) -> None:
    first, _ = released(tmp_path / "one")
    second, _ = released(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


def installed(folder: Path) -> Path:
    """The folder of plug-ins that krew puts on PATH."""
    archive, manifest = released(folder / "dist")
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "store", filter="data")
    plugins = folder / "bin"
    plugins.mkdir()
    (plugins / "kubectl-mora").symlink_to(folder / "store" / manifest["spec"]["platforms"][0]["bin"])
    return plugins


def kubectl_mora(plugins: Path, *programs: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """`kubectl mora --version` with these programs on PATH, as (name, shell script)."""
    beside = plugins.parent / "programs"
    beside.mkdir()
    for name, script in programs:
        (beside / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (beside / name).chmod(0o755)
    (beside / "sh").symlink_to("/bin/sh")
    environment = {"PATH": f"{plugins}{os.pathsep}{beside}", "HOME": str(plugins.parent), "PYTHONPATH": str(ROOT)}
    words = [str(find_tool("kubectl")), "mora", "--version"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_kubectl_runs_the_mora_of_path(tmp_path: Path) -> None:
    done = kubectl_mora(installed(tmp_path), ("mora", f'exec {" ".join(command())} "$@"'))
    assert (done.returncode, done.stdout) == (0, f"mora {__version__}\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("uvx", f"--quiet --from mora-rightsizing=={__version__} mora --version"),
        ("pipx", f"run --spec mora-rightsizing=={__version__} mora --version"),
    ],
)
def test_without_mora_the_version_of_the_plug_in_is_fetched(name: str, words: str, tmp_path: Path) -> None:
    done = kubectl_mora(installed(tmp_path), (name, 'echo "$@"'))
    assert (done.returncode, done.stdout) == (0, f"{words}\n"), done.stderr


def test_with_nothing_to_fetch_it_by_the_error_says_what_to_install(tmp_path: Path) -> None:
    done = kubectl_mora(installed(tmp_path))
    assert done.returncode == 1
    assert "pipx install mora-rightsizing" in done.stderr
