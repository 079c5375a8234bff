"""What `mora train` prints: errors in units a person reads, and every reason once."""

from __future__ import annotations

from typing import Any

from mora.outputs.training import render


def table(**errors: dict[str, float]) -> dict[str, Any]:
    return {"errors": errors, "level": 0.08, "windows": 3, "experiments": 1, "shares": {}, "reasons": []}


def card(**changes: Any) -> dict[str, Any]:
    cpu = table(
        prophet={"mean": 0.002, "p95": 0.003}, blend={"mean": 0.0015, "p95": 0.002}, naive={"mean": 0.003, "p95": 0.004}
    )
    memory = table(naive={"mean": 1024.0 * 1024, "p95": 2048.0 * 1024}) | {"level": 64.0 * 1024 * 1024}
    report = {
        "next_steps": {"cpu": cpu, "memory": memory},
        "calibrations": {"next": {"cpu": {"reasons": [["prior", "too few windows"]]}, "memory": {"reasons": []}}},
        "reasons": [["flat", "no seasons"], ["flat", "no seasons"]],
    }
    return {"driven": True, "rows": 248, "experiments": ["a", "b", "c", "d"], "report": report | changes}


def test_errors_come_beside_the_naive_forecast_in_readable_units() -> None:
    text = render("frontend", card(), seconds=2.5)
    assert "frontend: trained on 248 samples of 4 load experiments in 2.5s" in text
    cpu = next(line for line in text.splitlines() if line.strip().startswith("cpu ("))
    assert "(3 windows of 1 run)" in cpu
    assert cpu.split(")")[1].split("   ")[-1].strip() == "80m"
    for cell in ("2m / 3m", "1.5m / 2m", "3m / 4m"):
        assert cell in cpu
    memory = next(line for line in text.splitlines() if line.strip().startswith("memory ("))
    assert "1 MiB / 2 MiB" in memory
    assert " - " in memory  # no Prophet for it: absent, not zero


def test_a_forecaster_that_has_no_error_is_a_dash_and_a_reason_is_printed_once() -> None:
    text = render("frontend", card(), seconds=1)
    assert text.count("no seasons") == 1
    assert "- cpu: too few windows" in text


def test_without_validation_windows_no_error_is_printed() -> None:
    empty = card()
    empty["report"]["next_steps"]["cpu"]["errors"] = {}
    assert "cpu: no validation windows" in render("frontend", empty, seconds=1)


def test_every_horizon_has_a_table_of_its_own() -> None:
    observed = card()
    tables = observed["report"]["next_steps"]
    observed["report"]["horizons"] = {"3600": {"errors": tables}, "86400": {"errors": tables}}
    text = render("frontend", observed, seconds=1)
    assert "error on validation windows, mean / p95 of the next 1h" in text
    assert "error on validation windows, mean / p95 of the next 24h" in text
    assert "next steps" not in text


def test_a_forecaster_of_another_package_has_a_column_under_its_name() -> None:
    report = card()
    report["report"]["next_steps"]["cpu"]["errors"]["ridge"] = {"mean": 0.001, "p95": 0.002}
    header, cpu = (line for line in render("frontend", report, seconds=1).splitlines()[2:4])
    assert header.split()[-5:] == ["ridge", "blend", "naive", "mean", "use"]
    assert "1m / 2m" in cpu
