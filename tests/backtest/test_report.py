"""The page of a backtest: self-contained, and drawn by a real browser where one is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mora import pipeline
from mora.backtest.policy import Series
from mora.backtest.report import _label_places, _overlap, render_report
from mora.backtest.run import ORACLE, Backtest, BacktestSettings, run
from mora.errors import BadInput
from tests.backtest.making import START, bumpy

DAY = 86400
POLICIES = ("mora", "krr", "vpa", "peak", ORACLE)
VOID = {"meta", "br"}


class Elements(HTMLParser):
    """Every element in order, and whether all that were opened were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser.found


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    series = (
        bumpy("a", seed=1),
        bumpy("<b>&", seed=2, has_memory=False),
        *(bumpy(f"s{n}", seed=n) for n in range(3, 9)),
    )
    return run(series, BacktestSettings(POLICIES, warmup_seconds=10 * DAY))


@pytest.fixture(scope="module")
def page(backtest: Backtest) -> str:
    return render_report(backtest, source="<traces>.csv")


def test_the_page_is_well_formed_and_needs_no_network(page: str) -> None:
    found = elements(page)
    assert {"svg", "table", "script", "style"} <= {tag for tag, _ in found}
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "&lt;traces&gt;.csv" in page
    assert "nan" not in page.lower().replace("tenan", "")


def test_every_policy_is_on_the_frontier_in_the_table_and_over_every_series(page: str, backtest: Backtest) -> None:
    found = elements(page)
    for policy in POLICIES:
        marks = [tag for tag, attributes in found if attributes.get("data-of") == policy]
        assert marks.count("g") == 2  # CPU and memory
        assert marks.count("tr") == 2
        assert marks.count("path") == page.count('class="use"')
    scores = backtest.scores["krr"]["cpu"]
    assert f"<td>{scores.cost:.3f}</td>" in page


def test_six_series_of_all_kinds_are_drawn_unless_some_are_named(page: str, backtest: Backtest) -> None:
    drawn = re.findall(r"<figcaption>(\S+): CPU</figcaption>", page)
    assert len(drawn) == 6
    named = render_report(backtest, source="x", drawn="s4,<b>&")
    assert re.findall(r"<figcaption>(\S+): (?:CPU|memory)</figcaption>", named) == ["s4", "s4", "&lt;b&gt;&amp;"]
    with pytest.raises(BadInput, match="no series 'z' to draw"):
        render_report(backtest, source="x", drawn="z")


def test_a_name_from_a_file_turns_no_text_around(backtest: Backtest) -> None:
    page = render_report(backtest, source="traces\u202e\x1b[2J.csv")
    assert "traces??[2J.csv" in page
    assert not [c for c in page if not c.isprintable() and c not in "\n\t"]


def test_of_many_windows_the_last_are_drawn() -> None:
    found = run((bumpy("a"),), BacktestSettings(("last",), horizon_seconds=3600, warmup_seconds=5 * DAY))
    text = render_report(found, source="x")
    assert "the last 240 of 360 windows" in text
    assert 'class="warmup"' not in text


def test_names_lie_on_neither_points_nor_names() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        points = {f"policy{n}": (float(x), float(y)) for n, (x, y) in enumerate(rng.uniform(100, 300, (7, 2)))}
        places = _label_places(points, (50.0, 550.0), (10.0, 400.0))
        boxes = [(x, y - 12, x + 7.8 * len(name), y + 2) for name, (x, y) in places.items()]
        dots = [(x - 7, y - 7, x + 7, y + 7) for x, y in points.values()]
        assert not any(_overlap(one, dot) for one in boxes for dot in dots)
        assert not any(_overlap(one, other) for n, one in enumerate(boxes) for other in boxes[:n])


def test_gaps_leave_gaps() -> None:
    use = np.ones(480)
    use[300:340] = np.nan
    text = render_report(
        run((Series("a", 3600, START, use, None),), BacktestSettings(("last",), warmup_seconds=5 * DAY)), source="x"
    )
    (band,) = re.findall(r'class="use" d="([^"]+)"', text)
    assert band.count("M") == 2


def test_a_rule_without_a_colour_gets_one(backtest: Backtest) -> None:
    renamed = replace(
        backtest,
        scores={"mine": backtest.scores["krr"]},
        reservations={"mine": backtest.reservations["krr"]},
    )
    assert "color:#7b5ea7" in render_report(renamed, source="x")


def test_the_page_is_written_completely(tmp_path: Path, backtest: Backtest, page: str) -> None:
    pipeline.write_report(backtest, tmp_path / "out" / "page.html", source="<traces>.csv")
    assert (tmp_path / "out" / "page.html").read_text(encoding="utf-8") == page
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def browse(page: Path, fragment: str, folder: Path) -> tuple[str, str]:
    """The page as a real browser leaves it after its script has run, and what the browser says of it."""
    seen = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={folder}",
            "--virtual-time-budget=2000",
            "--dump-dom",
            f"{page.as_uri()}{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return seen.stdout, "\n".join(line for line in seen.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_real_browser_draws_it_and_hides_what_is_asked(tmp_path: Path, page: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    dom, console = browse(path, "#hide=krr,vpa", tmp_path / "profile")
    assert console == ""
    assert 'data-ready="yes"' in dom
    hidden = {
        attributes["data-of"]
        for _, attributes in elements(dom)
        if "data-of" in attributes and "off" in str(attributes.get("class"))
    }
    assert hidden == {"krr", "vpa"}
    pressed = {a["data-rule"]: a["aria-pressed"] for _, a in elements(dom) if "data-rule" in a}
    assert pressed == {name: str(name not in ("krr", "vpa")).lower() for name in POLICIES}
