"""mora health score, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.health.made import healthy, with_fault
from tests.running import mora


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    healthy(2000).to_csv(folder / "web.csv", index=False)
    healthy(1000, seed=2).to_csv(folder / "quiet.csv", index=False)
    with_fault(healthy(1000, seed=2), 800).to_csv(folder / "sick.csv", index=False)
    done = mora("health", "train", "web.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_fault_is_an_event_and_fails_where_that_is_asked_for(folder: Path) -> None:
    sick = mora("health", "score", "sick.csv", "--service", "web", "--fail-on-anomaly", cwd=folder)
    assert sick.returncode == 3
    assert "latency_p95_seconds" in sick.stdout.splitlines()[-1]
    quiet = mora("health", "score", "quiet.csv", "--service", "web", "--fail-on-anomaly", cwd=folder)
    assert quiet.returncode == 0
    assert "No events." in quiet.stdout


def test_every_output_is_written(folder: Path) -> None:
    for output, begin in (
        ("json", "{"),
        ("csv", "timestamp,state"),
        ("html", "<!doctype html>"),
        ("table", "default/web"),
    ):
        out = f"out.{output}"
        done = mora("health", "score", "sick.csv", "--service", "web", "-o", output, "--out", out, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f"Wrote {out}." in done.stderr
        assert (folder / out).read_text().lower().startswith(begin)
    assert json.loads((folder / "out.json").read_text())["service"] == "web"


def test_a_metric_that_is_gone_is_named_and_may_count_as_not_known(folder: Path) -> None:
    healthy(1000, seed=3).rename(columns={"latency_p95_seconds": "latency_seconds"}).to_csv(
        folder / "renamed.csv", index=False
    )
    done = mora("health", "score", "renamed.csv", "--service", "web", cwd=folder)
    assert done.returncode == 1
    assert "lack the metric latency_p95_seconds" in done.stderr
    assert "Is it latency_seconds now?" in done.stderr
    done = mora("health", "score", "renamed.csv", "--service", "web", "--fill-missing", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "weighs 67%" in done.stdout


def test_a_batch_that_is_too_short_has_no_verdict_unless_it_is_padded(folder: Path) -> None:
    healthy(30, seed=4).to_csv(folder / "short.csv", index=False)
    done = mora("health", "score", "short.csv", "--service", "web", "--fail-on-anomaly", cwd=folder)
    assert done.returncode == 1
    assert "web is unknown" in done.stdout
    assert "No sample has a verdict" in done.stderr
    assert "web is healthy" in mora("health", "score", "short.csv", "--service", "web", "--pad", cwd=folder).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cart",), "There is no detector of 'cart'"),
        (("web", "-o", "pdf"), "is not an output"),
        (("web", "--since", "2h"), "--prometheus"),
        (("sick.csv", "--service", "web", "--gap", "soon"), "not a span"),
        (("sick.csv", "--service", "web", "--known", "x"), "not START/END"),
        (("sick.csv", "--service", "../web"), "not a valid service name"),
        (("sick.csv",), "no detector of 'sick'"),
        (("web", "--prometheus", "http://127.0.0.1:1"), "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_what_to_do(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = mora("health", "score", *arguments, cwd=folder)
    assert done.returncode == 1
    assert words in done.stderr
    assert "bug" not in done.stderr


RECORDED = Path(__file__).parents[2] / "experiments" / "recorded_fault"


def test_a_fault_that_was_recorded_in_the_sandbox_is_found_within_seconds_and_named(tmp_path: Path) -> None:
    service = ("--service", "productcatalogservice")
    trained = mora("health", "train", str(RECORDED / "healthy.csv"), *service, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    labels = ("--labels", str(RECORDED / "labels.csv"))
    later = str(RECORDED / "later.csv")
    done = mora("health", "score", later, *service, "--gap", "1m", *labels, "-o", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (event,) = json.loads(done.stdout)["events"]
    assert "2026-11-26T13:34:29Z" <= event["start"] <= "2026-11-26T13:34:38Z"
    assert next(iter(event["metrics"])) == "latency_p95_seconds"
    page = mora("health", "score", later, *service, *labels, "-o", "html", cwd=tmp_path)
    assert "known: latency" in page.stdout
    # Without what is known to be a fault, the same samples are still enough to learn from.
    again = mora("health", "train", later, *service, *labels, cwd=tmp_path)
    assert "on 135 samples" in again.stdout
