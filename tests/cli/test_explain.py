"""mora explain, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests import fakes_learning as fakes
from tests.model import explaining
from tests.running import mora


def test_a_model_s_numbers_are_explained_without_any_cluster(home: Path) -> None:
    done = mora("explain", "frontend", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Deployment default/frontend" in done.stdout
    assert "mean use = " in done.stdout
    assert "no Prometheus is configured" in done.stdout


def test_what_cannot_be_explained_is_an_error_that_says_what_to_do(home: Path) -> None:
    done = mora("explain", "nope", cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "mora train nope" in done.stderr


def test_shap_says_what_a_forecast_is_made_of_and_writes_a_page(tmp_path: Path) -> None:
    explaining.home_of(tmp_path, fakes.observed(days=2.5), {"prophet": 0.6, "slots": 0.4})
    done = mora("explain", "frontend", "--shap", "--horizon", "1h", "--report", "shap.html", cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "Wrote shap.html.")
    assert "default/frontend, CPU over the 1h from 2026-09-03 20:00 UTC: a mean use of" in done.stdout
    assert "Forecast by: Prophet 60% (" in done.stdout
    assert "time of day" in done.stdout
    assert (tmp_path / "shap.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_shap_cannot_explain_is_an_error(home: Path) -> None:
    driven = mora("explain", "frontend", "--shap", cwd=home)
    assert (driven.returncode, driven.stdout) == (1, "")
    assert "was trained on load experiments" in driven.stderr
    for flags, words in (
        (["--shap"], "one workload at a time"),
        (["frontend", "--shap", "--users", "50"], "know no load"),
        (["frontend", "--shap", "--prometheus", "http://127.0.0.1:9"], "Leave out --prometheus."),
        (["frontend", "--shap", "--no-model"], "Leave out --no-model."),
        (["frontend", "--report", "x.html"], "--report is the page of --shap"),
    ):
        done = mora("explain", *flags, cwd=home)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
