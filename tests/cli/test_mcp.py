"""mora mcp at the door: what is wrong is reported before an assistant asks (the conversation: tests/mcp)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import mora


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--history", "soon"), "soon"),
        (("--keep", "a while"), "a while"),
        (("-n", "Not_A_Name"), "Not_A_Name"),
    ],
)
def test_a_wrong_option_is_an_error_before_the_server_starts(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = mora("mcp", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_an_unknown_setting_is_an_error_before_the_server_starts(tmp_path: Path) -> None:
    done = mora("mcp", cwd=tmp_path, MORA_PROMETEUS_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "MORA_PROMETEUS_URL" in done.stderr
