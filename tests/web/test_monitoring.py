"""The alert rules and the Grafana dashboard: by promtool, and on a real Prometheus that scrapes a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.record.numbers import Key
from mora.record.store import InForce
from mora.tools import find_tool
from mora.web.live import Live
from mora.web.metrics import Telemetry
from tests.running import until
from tests.sources.rig import serve
from tests.web.making import answer, site

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "charts" / "mora" / "files"
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
ANNOTATIONS = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
RULES = [rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
APPLIED = InForce(
    1, Key("", "default", "Deployment", "frontend", "server", "memory_request"), 1.79e9, 1, covered=False, oom_kills=1
)


def test_each_alert_fires_where_it_should_and_nowhere_else(tmp_path: Path) -> None:
    shutil.copy(FILES / "alerts.yaml", tmp_path / "alerts_under_test.yaml")
    shutil.copy(ROOT / "tests" / "web" / "alerts.yaml", tmp_path)
    told = subprocess.run(
        [str(find_tool("promtool")), "test", "rules", str(tmp_path / "alerts.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_is_tested_with_a_firing_and_a_silence() -> None:
    tests = yaml.safe_load((ROOT / "tests" / "web" / "alerts.yaml").read_text(encoding="utf-8"))["tests"]
    tested = [(one["alertname"], bool(one["exp_alerts"])) for test in tests for one in test["alert_rule_test"]]
    assert {(rule["alert"], fires) for rule in RULES for fires in (True, False)} == set(tested)


def metrics_in(text: str) -> set[str]:
    """The names of MOrA's metrics in expressions or on a page."""
    return set(re.findall(r"\bmora_[a-z_]+(?<!_)", text))


@pytest.fixture(scope="module")
def exported() -> set[str]:
    live = Live(("",), 900.0)
    live.answered("", answer())
    live.recorded("", [APPLIED])
    telemetry = Telemetry(live)
    return {line.split()[2] for line in telemetry.text().decode().splitlines() if line.startswith("# TYPE ")}


def test_alerts_dashboard_and_page_name_metrics_that_there_are(exported: set[str]) -> None:
    rules = " ".join(rule["expr"] for rule in RULES)
    assert metrics_in(rules) <= exported
    assert metrics_in(" ".join((*EXPRESSIONS, *ANNOTATIONS))) <= exported
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    table = page[page.index("## Metrics") : page.index("## The record")]
    named = metrics_in(table) - {"mora_current", "mora_goal"}
    assert named <= exported
    # Every family is on the page, be it by what it begins or ends with.
    whole = {one for one in exported if not one.startswith(("mora_current_", "mora_goal_")) and "_created" not in one}
    assert {one for one in whole - named if not one.endswith("_memory_bytes")} == set()


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_every_panel_asks_the_chosen_prometheus() -> None:
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def with_values(expression: str) -> str:
    """An expression as Grafana sends it with everything chosen."""
    return re.sub(r"\$(cluster|namespace|workload)\b", ".*", expression)


def ask(url: str, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=60) as got:  # noqa: S310  # loopback
        found: list[dict[str, Any]] = json.loads(got.read())["data"]["result"]
        return found


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes a server with an answer."""
    folder = tmp_path_factory.mktemp("scraped")
    with site(folder) as served:
        served.live.answered("", answer())
        served.live.recorded("", [APPLIED])
        target = {"targets": [f"127.0.0.1:{served.port}"], "labels": {"namespace": "monitoring", "container": "mora"}}
        job = {"job_name": "mora", "scrape_interval": "1s", "honor_labels": True, "static_configs": [target]}
        with serve(folder / "tsdb", config={"scrape_configs": [job]}) as url:
            until(lambda: ask(url, "mora_answer_age_seconds"), "a scrape of the server")
            yield url


def test_every_expression_of_the_dashboard_has_an_answer(scraped: str) -> None:
    empty = {one for one in EXPRESSIONS if not ask(scraped, with_values(one))}
    # What cAdvisor and time alone can fill.
    assert all("container_" in one or "increase(" in one for one in empty), empty
    for one in ANNOTATIONS:
        ask(scraped, with_values(one))


def test_labels_of_a_workload_are_not_taken_for_those_of_the_scrape(scraped: str) -> None:
    spaces = {one["metric"]["namespace"] for one in ask(scraped, "mora_recommended_cpu_cores")}
    assert spaces == {entry.namespace for entry in answer().entries if entry.has_number} | spaces
    assert "monitoring" not in spaces
    assert not ask(scraped, '{__name__=~"mora_.*", exported_namespace!=""}')
