"""Programs are found where people and `make` put them; a missing one is named with its package."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import tools
from mora.errors import ToolMissing


def program(folder: Path, name: str = "promtool") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """PATH, $MORA_TOOLS and the folder of fetched programs, all empty."""
    path, given, fetched = (tmp_path / name for name in ("path", "given", "fetched"))
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("MORA_TOOLS", str(given))
    monkeypatch.setattr(tools, "_FETCHED", fetched)
    return path, given, fetched


def test_path_comes_first_then_the_given_folder_then_what_was_fetched(places: tuple[Path, Path, Path]) -> None:
    for folder in reversed(places):
        expected = program(folder)
        assert tools.find_tool("promtool") == expected


def test_a_missing_program_is_named_with_its_debian_package(places: tuple[Path, Path, Path]) -> None:
    with pytest.raises(ToolMissing) as missing:
        tools.find_tool("promtool")
    assert "'promtool'" in missing.value.message
    assert "apt-get install prometheus" in str(missing.value.hint)


def test_a_file_that_cannot_be_run_is_no_program(places: tuple[Path, Path, Path]) -> None:
    program(places[0]).chmod(0o644)
    with pytest.raises(ToolMissing):
        tools.find_tool("promtool")
