"""The folder of a run: a part is there whole or not at all, and nothing in it is believed unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mora.chaos.folder import RUN, begin, finished_parts, read_document, read_part, read_run, write_part
from mora.errors import BadConfig, BadDataset, BadInput, MoraError
from tests.chaos.made import TOML, run_part, scenario


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of one part."""
    found = scenario(tmp_path)
    begin(tmp_path / "run", found)
    write_part(tmp_path / "run", run_part(found))
    return tmp_path / "run"


def test_what_is_written_is_read_back(folder: Path, tmp_path: Path) -> None:
    found, (part,) = read_run(folder)
    made = run_part(scenario(tmp_path))
    assert (found.digest, part.labels, part.began, part.ended) == (made.digest, made.labels, made.began, made.ended)
    for name, frame in made.frames.items():
        pd.testing.assert_frame_equal(part.frames[name], frame, rtol=1e-8, check_dtype=False)


def test_a_part_without_its_document_is_not_finished(folder: Path) -> None:
    assert list(finished_parts(folder)) == [1]
    (folder / "part-1" / RUN).unlink()
    assert finished_parts(folder) == {}
    with pytest.raises(BadInput, match="no finished part"):
        read_run(folder)


def test_a_full_disk_leaves_no_part(tmp_path: Path, tiny_disk: Path) -> None:
    with pytest.raises(MoraError):
        write_part(tiny_disk, run_part(scenario(tmp_path)))
    assert finished_parts(tiny_disk) == {}


def test_a_folder_takes_one_scenario(folder: Path, tmp_path: Path) -> None:
    begin(folder, scenario(tmp_path))
    with pytest.raises(BadConfig, match="another scenario"):
        begin(folder, scenario(tmp_path, TOML.replace("seed = 3", "seed = 4")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"services": ["../../etc/passwd"]}, "no|not a name that Kubernetes"),
        ({"schema_version": 9}, "schema 9"),
        ({"learnt_until": "2020-01-01T00:00:00Z"}, "not in this order"),
        ({"step_seconds": "1"}, "step_seconds"),
        ({"services": ["cartservice", "frontend", "third"]}, "lacks third.csv"),
    ],
)
def test_a_document_that_cannot_be_is_refused(folder: Path, change: dict[str, object], words: str) -> None:
    path = folder / "part-1" / RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadDataset, match=words):
        read_part(folder / "part-1")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 10_000])
def test_a_half_written_document_is_refused(folder: Path, content: bytes) -> None:
    (folder / "part-1" / RUN).write_bytes(content)
    with pytest.raises(BadDataset):
        read_document(folder / "part-1")


def test_a_file_that_no_run_wrote_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    found = scenario(tmp_path / "mine")
    (tmp_path / "mine" / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(BadConfig, match=r"pyproject\.toml"):
        begin(tmp_path / "mine", found)
    assert (tmp_path / "mine" / "pyproject.toml").read_text() == "[project]\n"
    other = tmp_path / "other"
    other.mkdir()
    (other / "made.toml").write_text("# somebody's\n")
    with pytest.raises(BadConfig, match=r"made\.toml"):
        begin(other, found)
    assert (other / "made.toml").read_text() == "# somebody's\n"


def test_a_run_in_the_folder_of_its_scenario_leaves_it(tmp_path: Path) -> None:
    found = scenario(tmp_path)
    for _ in range(2):
        begin(tmp_path, found)
        assert found.path.read_text() == TOML
