"""Finding a sandbox by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mora import sandbox
from mora.errors import ClusterError
from mora.sandbox.state import sandbox_folder, take_lock, write_state


def test_a_name_that_does_not_run_is_told_with_those_that_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(tmp_path))
    with pytest.raises(ClusterError, match=r"No sandbox named 'zz' is running(.|\n)*start one: mora sandbox up"):
        sandbox.connect("zz")
    folder = sandbox_folder("blue")
    folder.mkdir()
    write_state(folder, {})
    held = take_lock(folder)
    assert held is not None
    try:
        with pytest.raises(ClusterError) as told:
            sandbox.connect("zz")
    finally:
        os.close(held)
    assert told.value.hint == "These are: blue."
