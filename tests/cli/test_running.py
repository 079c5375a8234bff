"""What both targets of `mora collect` print: the plan with its queries, and what a run has written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from mora import pipeline
from mora.cli import running
from mora.harness.experiment import RunReport
from mora.settings import Settings
from tests.fakes import SHOP, FakeCluster, FakeSource


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "await_quiet", lambda *_, **__: True)


PLACE = pipeline.Place(FakeCluster(), FakeSource(), SHOP, "frontend", "http://127.0.0.1:1")


def test_a_preview_lists_every_experiment_and_the_queries_of_each_service(capsys: pytest.CaptureFixture[str]) -> None:
    source = FakeSource()
    running.preview(source, SHOP, replace(Settings(), plan="quick"))
    printed = capsys.readouterr().out
    assert printed.startswith("12 experiments, about ")
    assert "  12  " in printed
    for workload in SHOP:
        assert f"\nQueries for {workload.name}:\n" in printed
        assert f'cpu_cores_value{{service="{workload.name}"}}' in printed
    assert source.asked == []


def test_queries_are_printed_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    running.print_queries("cart", {"cpu": "rate(cpu)", "memory": "max(memory)"})
    assert capsys.readouterr().out == "\nQueries for cart:\n  cpu\n    rate(cpu)\n  memory\n    max(memory)\n"


def test_a_run_prints_the_ids_it_wrote_and_names_what_training_will_not_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def collect(plan: str, place: pipeline.Place, **options: Any) -> RunReport:
        asked.update(options, plan=plan, place=place)
        return RunReport("quick-1", written=("a", "b"), skipped=("c",), incomplete={"b": ("12 of 60 samples",)})

    monkeypatch.setattr(pipeline, "collect", collect)
    running.run_plan(PLACE, replace(Settings(), data_dir=tmp_path), resume=True, agreed=False)
    told = capsys.readouterr()
    assert told.out == "a\nb\n"
    assert "Run quick-1: 2 experiments written, 1 existed already." in told.err
    assert "b is flagged and not used in training: 12 of 60 samples" in told.err
    assert (asked["plan"], asked["place"], asked["data_dir"]) == ("quick", PLACE, tmp_path)
    assert (asked["resume"], asked["allow_remote"]) == (True, False)


def test_windows_that_are_no_measurement_have_an_exit_code_of_their_own_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def collect(plan: str, place: pipeline.Place, **options: Any) -> RunReport:
        busy = {"b": ("Locust was 90 ms late, of a p95 of 100 ms",)}
        return RunReport("quick-1", ("a", "b"), (), {}, contended=busy, repeated=3)

    monkeypatch.setattr(pipeline, "collect", collect)
    with pytest.raises(typer.Exit) as ended:
        running.run_plan(PLACE, replace(Settings(), data_dir=tmp_path), resume=False, agreed=False)
    told = capsys.readouterr()
    assert ended.value.exit_code == 4
    assert told.out == "a\nb\n"
    assert "3 windows driven again, because this machine was busy with other programs." in told.err
    assert "  b is contended and not used in training: Locust was 90 ms late, of a p95 of 100 ms" in told.err
    assert "1 of 2 windows are no measurement" in told.err
    assert "drive these windows again with --resume." in told.err


def test_a_run_whose_repeats_were_quiet_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "collect", lambda *_, **__: RunReport("quick-1", ("a",), (), {}, repeated=1))
    running.run_plan(PLACE, replace(Settings(), data_dir=tmp_path), resume=False, agreed=False)
    assert "1 window driven again" in capsys.readouterr().err
