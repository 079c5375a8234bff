"""What is written down of a training."""

from __future__ import annotations

from mora.tracking import run_of
from mora.tracking.run import LONGEST_VALUE
from tests.model.making import plain_model


def test_a_run_has_the_settings_the_errors_and_the_files_of_its_model() -> None:
    model = plain_model()
    run = run_of(model.card, model.digest, model.files, alias="champion", report="it went well")
    assert (run.name, run.version, run.alias) == ("default.frontend", model.digest, "champion")
    assert (run.parameters["settings.seed"], run.parameters["settings.weights"]) == ("0", "naive=1.0")
    assert run.parameters["data_sha256"] == model.card["data_sha256"]
    table = model.card["report"]["horizons"]["3600"]["errors"]["cpu"]
    assert run.metrics["cpu.3600s.naive.error_of_mean"] == table["errors"]["naive"]["mean"] > 0
    assert 0 <= run.metrics["memory.86400s.covered"] <= 1
    assert run.model == model.files
    assert run.extra["report.txt"] == b"it went well"
    assert run.extra["errors.svg"].startswith(b"<svg ")


def test_a_value_is_cut_where_a_tracker_would_refuse_it() -> None:
    model = plain_model()
    card = {**model.card, "settings": {"weights": {"x" * 2000: 1.0}}}
    run = run_of(card, model.digest, {}, alias="", report="")
    assert len(run.parameters["settings.weights"]) == LONGEST_VALUE
