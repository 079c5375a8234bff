"""Recommendations as text and as files, one or several."""

from __future__ import annotations

from pathlib import Path

from mora import pipeline
from tests.outputs.examples import frontend


def test_one_recommendation_is_printed_as_a_list_of_one_is() -> None:
    assert pipeline.render(frontend()) == pipeline.render([frontend()])
    assert pipeline.render(frontend(), "json") == pipeline.render([frontend()], "json")


def test_files_are_written_whole_and_named(tmp_path: Path) -> None:
    done = pipeline.write_output(frontend(), "kustomize", tmp_path / "overlay")
    assert tmp_path / "overlay" / "kustomization.yaml" in done.written
    assert all(path.read_text(encoding="utf-8") for path in done.written)
