"""The alert rules and the dashboard of health: by promtool, and against the metrics that a watcher exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from mora.tools import find_tool
from mora.web.health_metrics import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "charts" / "mora" / "files"
DASHBOARD: dict[str, Any] = json.loads((FILES / "health-dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
GROUPS = yaml.safe_load((FILES / "health-alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
EXPORTED = {*FAMILIES, "mora_reconstruction_error_bucket"}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bmora_[a-z_]+(?<!_)", text))


def test_each_alert_fires_where_it_should_and_nowhere_else(tmp_path: Path) -> None:
    shutil.copy(FILES / "health-alerts.yaml", tmp_path / "alerts_under_test.yaml")
    shutil.copy(ROOT / "tests" / "web" / "health-alerts.yaml", tmp_path)
    done = subprocess.run(
        [str(find_tool("promtool")), "test", "rules", str(tmp_path / "health-alerts.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_with_a_firing_and_a_silence_and_waits_before_it_fires() -> None:
    tests = yaml.safe_load((ROOT / "tests" / "web" / "health-alerts.yaml").read_text(encoding="utf-8"))["tests"]
    tested = {(one["alertname"], bool(one["exp_alerts"])) for test in tests for one in test["alert_rule_test"]}
    assert {(rule["alert"], fires) for rule in RULES for fires in (True, False)} == tested
    assert all("for" in rule for rule in RULES)


def test_alerts_and_dashboard_name_metrics_that_a_watcher_exports() -> None:
    assert metrics_in(" ".join(rule["expr"] + str(rule["annotations"]) for rule in RULES)) <= EXPORTED
    variables = [one.get("definition", "") for one in DASHBOARD["templating"]["list"]]
    notes = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    assert metrics_in(" ".join((*EXPRESSIONS, *variables, *notes))) <= EXPORTED


def test_the_page_has_every_metric() -> None:
    page = (ROOT / "docs" / "health.md").read_text(encoding="utf-8")
    assert set(FAMILIES) <= metrics_in(page)


def test_panels_have_ids_of_their_own_do_not_overlap_and_ask_the_chosen_prometheus() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_prometheus_can_read_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    plain = [re.sub(r"\$(namespace|service)\b", ".*", one) for one in EXPRESSIONS]
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(plain)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [str(find_tool("promtool")), "check", "rules", str(tmp_path / "rules.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
