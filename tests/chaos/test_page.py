"""The page of a run: the verdict, a row for each fault, and a timeline of every service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mora.chaos.judge import judge_part
from mora.chaos.page import chaos_page
from mora.chaos.report import report_of
from tests.chaos.made import TOML, run_part, scenario


def charts(text: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    return [json.loads(one) for one in found]


def page(tmp_path: Path, text: str = TOML) -> str:
    of = scenario(tmp_path, text)
    part = run_part(of, stray=True)
    seen = judge_part(part, recover=of.recover, alarm_after=of.alarm_after)
    return chaos_page(report_of(of, [seen], detector="context-distance", threshold="tracking"), [(part, seen)])


def test_every_service_has_a_timeline_with_the_faults_and_its_alarms(tmp_path: Path) -> None:
    cart, front = charts(page(tmp_path))
    assert (cart["title"], front["title"]) == ("cartservice", "frontend")
    for chart in (cart, front):
        assert [span["text"] for span in chart["spans"]] == [
            "learnt from",
            "latency at cartservice",
            "errors at frontend",
        ]
    assert [span.get("colour", "dim") for span in cart["spans"]] == ["dim", "bad", "warn"]
    assert [mark["text"] for mark in cart["marks"]] == ["latency_p95_seconds"]
    assert [mark["text"] for mark in front["marks"]] == ["false alarm: cpu_cores_value"]
    assert max(value for value in cart["lines"][0]["values"] if value is not None) > 1


def test_what_a_scenario_is_called_does_nothing_in_the_page(tmp_path: Path) -> None:
    text = page(tmp_path, 'description = "<script>alert(1)</script>"\n' + TOML)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
