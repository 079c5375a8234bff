"""The report: its figures, PASS and FAIL for every expectation, and the same in every format."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mora.chaos.judge import judge_part
from mora.chaos.report import Report, as_json, as_markdown, as_text, check_fault, report_of
from mora.chaos.scenario import Expected
from tests.chaos.made import TOML, run_part, scenario


def report(tmp_path: Path, text: str = TOML, **changes: bool) -> Report:
    of = scenario(tmp_path, text)
    seen = judge_part(run_part(of, **changes), recover=of.recover, alarm_after=of.alarm_after)
    return report_of(of, [seen], detector="context-distance", threshold="tracking")


def test_the_figures_are_those_of_the_faults(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert (found.detected, found.detected_anywhere, found.blamed_right, len(found.rows)) == (1, 1, 1, 2)
    assert found.median_delay == found.rows[0].seen.delay
    assert found.false_alarms_per_hour == 0
    assert [check.word for check in found.checks] == ["PASS", "PASS", "PASS"]
    assert [row.check.word for row in found.rows] == ["PASS", "FAIL"], "the second fault was expected, and not detected"


def test_a_false_alarm_counts_by_the_hour_and_fails_the_goal(tmp_path: Path) -> None:
    found = report(tmp_path, TOML.replace("false_alarms_per_hour = 40", "false_alarms_per_hour = 1"), stray=True)
    hours = found.healthy / timedelta(hours=1)
    assert found.false_alarms_per_hour == pytest.approx(1 / hours)
    assert found.checks[-1].word == "FAIL"


def test_a_run_without_a_detected_fault_fails_and_has_no_delay(tmp_path: Path) -> None:
    found = report(tmp_path, is_seen=False)
    assert found.median_delay is None
    assert [check.word for check in found.checks] == ["FAIL", "FAIL", "PASS"]


def test_a_part_that_was_not_run_fails_the_report(tmp_path: Path) -> None:
    of = scenario(tmp_path)
    found = report_of(of, [], detector="a", threshold="b")
    assert found.missing_parts == (1,)
    assert not found.passed
    assert found.false_alarms_per_hour is None


@pytest.mark.parametrize(
    ("expected", "word"),
    [
        (Expected(), "PASS"),
        (Expected(detected=False), "FAIL"),
        (Expected(within=timedelta(seconds=1)), "FAIL"),
        (Expected(within=timedelta(seconds=30)), "PASS"),
        (Expected(metrics=("latency_p95_seconds", "error_ratio")), "PASS"),
        (Expected(metrics=("mem_bytes_value",)), "FAIL"),
    ],
)
def test_a_fault_is_checked_against_what_is_expected_of_it(tmp_path: Path, expected: Expected, word: str) -> None:
    seen = report(tmp_path).rows[0].seen
    assert check_fault(seen, expected).word == word


def test_every_format_says_the_same(tmp_path: Path) -> None:
    found = report(tmp_path, TOML.replace("50%", "51%"), stray=True)
    document = json.loads(as_json(found))
    assert (document["verdict"], document["faults"], document["detected"]) == ("FAIL", 2, 1)
    assert [row["verdict"] for row in document["rows"]] == ["PASS", "FAIL"]
    assert document["rows"][0]["metric"] == "latency_p95_seconds"
    assert [one["service"] for one in document["false_alarms"]] == ["frontend"]
    text, markdown = as_text(found), as_markdown(found)
    for words in ("1 of 2 faults detected", "1 false alarm ", "latency", "cartservice"):
        assert words in text
        assert words in markdown
    assert text.endswith("FAIL  made\n")


def test_names_of_a_run_do_nothing_in_markdown(tmp_path: Path) -> None:
    hostile = 'description = "<script>alert(1)</script> @everyone"\n'
    text = as_markdown(report(tmp_path, hostile + TOML))
    assert "<script>" not in text
    assert "@everyone" not in text


def test_one_missed_fault_fails_no_run_of_which_a_share_is_expected(tmp_path: Path) -> None:
    of = TOML.replace("false_alarms_per_hour = 40\n", "")
    found = report(tmp_path, of)
    assert [row.check.word for row in found.rows] == ["PASS", "FAIL"]
    assert found.passed, "one of two is the half that is expected"
    assert not report(tmp_path, of.replace('detected = "50%"', 'detected = "51%"')).passed
    assert not report(tmp_path, of.replace('detected = "50%"\n', "")).passed, "without a share, each is expected"
    alone = of.replace('target = "frontend"\n', 'target = "frontend"\nexpect.within = "30s"\n')
    assert not report(tmp_path, alone).passed, "of this one, more is expected"


def test_a_goal_of_no_false_alarm_can_be_met(tmp_path: Path) -> None:
    none = TOML.replace("false_alarms_per_hour = 40", "false_alarms_per_hour = 0")
    assert report(tmp_path, none).checks[-1].word == "PASS"
    assert report(tmp_path, none, stray=True).checks[-1].word == "FAIL"


def test_a_fault_without_a_label_fails_the_report(tmp_path: Path) -> None:
    of = scenario(tmp_path)
    part = run_part(of)
    for labels in (part.labels[:1], (*part.labels, part.labels[0])):
        seen = judge_part(replace(part, labels=labels), recover=of.recover, alarm_after=of.alarm_after)
        found = report_of(of, [seen], detector="a", threshold="b")
        assert f"2 faults, {len(labels)} label" in found.checks[0].text
        assert not found.passed
