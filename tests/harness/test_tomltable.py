"""Tables of TOML files: an error names its place, and an unknown key is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import values
from mora.errors import BadConfig
from mora.harness.tomltable import TomlTable


def read(tmp_path: Path, text: str) -> TomlTable:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return TomlTable.read(path, "plan")


def test_a_wrong_value_is_an_error_that_names_file_and_place(tmp_path: Path) -> None:
    table = read(tmp_path, "[[cells]]\nusers = 1\n[[cells]]\nusers = 'many'\n")
    with pytest.raises(BadConfig, match=r"plan\.toml: cells\[1\]\.users: "):
        [row.get("users", values.whole(1, is_text_read=False)) for row in table.tables("cells")]


def test_a_key_that_was_never_read_is_unknown(tmp_path: Path) -> None:
    table = read(tmp_path, "seed = 1\nsede = 2\n")
    assert table.get("seed", values.whole(0)) == 1
    assert table.get("users", values.whole(0), 7) == 7
    with pytest.raises(BadConfig, match="sede: unknown key") as caught:
        table.check_all_known()
    assert "seed, users" in str(caught.value.hint)


def test_a_required_key_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="seed: is required"):
        read(tmp_path, "").get("seed", values.whole(0), is_required=True)


@pytest.mark.parametrize(
    ("content", "words"), [(b"a = ", "not TOML"), (b"\xff", "not UTF-8"), (None, "cannot be read")]
)
def test_a_file_that_is_no_table_is_an_error(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "plan.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadConfig, match=f"The plan .*{words}"):
        TomlTable.read(path, "plan")
