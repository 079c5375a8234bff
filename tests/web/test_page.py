from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from mora import pipeline
from mora.errors import MoraError, SourceUnavailable
from mora.record.store import Record
from mora.web.live import Live
from mora.web.page import page
from tests.outputs.examples import everything, frontend
from tests.record.making import seen, total
from tests.web.making import MADE_AT, SETTINGS, answer

DAY = 86_400.0
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"


def served(*names: str) -> Live:
    live = Live(names or ("",), 900.0)
    for name in live.names:
        live.answered(name, answer())
    return live


def text(live: Live, record: Path, cluster: str | None = None, namespace: str | None = None) -> str:
    return page(live.shown(), record, cluster, namespace, now=MADE_AT)


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def titles(html: str) -> set[str]:
    """The workloads whose details are on a page."""
    found = re.search(r'<script type="application/json" id="details">(.*?)</script>', html, re.DOTALL)
    return set() if found is None else {one["title"] for one in json.loads(found[1])}


def test_every_workload_is_on_the_page_and_a_namespace_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.take("", MADE_AT, answer().seen(""), answer().totals(""))
    names = {f"{one.namespace}/{one.workload}" for one in answer().entries}
    assert titles(text(served(), path)) == names
    some = answer().namespaces[0]
    assert titles(text(served(), path, namespace=some)) == {name for name in names if name.startswith(f"{some}/")}
    assert titles(text(served("a", "b"), path, cluster="b")) == {f"b/{name}" for name in names}
    assert len(titles(text(served("a", "b"), path))) == 2 * len(names)


def test_the_page_has_the_rows_of_the_html_output(tmp_path: Path) -> None:
    printed = pipeline.render(everything(), "html", SETTINGS)
    live = text(served(), tmp_path / "none")

    def rows(html: str) -> list[str]:
        return re.findall(r"<tr data-namespace=.*?</tr>", html, re.DOTALL)

    assert rows(live) == rows(printed) != []


def test_the_links_lead_to_clusters_and_namespaces(tmp_path: Path) -> None:
    found = Tags(text(served("a", "b"), tmp_path / "none", "a")).found
    links = [
        attributes["href"] for tag, attributes in found if tag == "a" and "skip" not in (attributes.get("class") or "")
    ]
    assert "?cluster=b" in links
    namespaces = answer().namespaces
    assert all(f"?cluster=a&namespace={name}" in links for name in namespaces)
    here = [attributes["href"] for tag, attributes in found if "aria-current" in attributes]
    assert here == ["?cluster=a", "?cluster=a"]


def test_names_of_a_cluster_cannot_inject(tmp_path: Path) -> None:
    live = Live((HOSTILE,), 900.0)
    made = answer([frontend()])
    entry = replace(made.entries[0], namespace=HOSTILE, workload=HOSTILE)
    container = {**entry.document["containers"][0], "name": HOSTILE}
    container["cpu_request_millicores"] = {**container["cpu_request_millicores"], "summary": HOSTILE}
    line = replace(entry.piece.lines[0], name=HOSTILE, container=HOSTILE, kind=HOSTILE)
    details = {**entry.piece.details, "title": HOSTILE, "id": HOSTILE, "notes": [HOSTILE]}
    piece = replace(entry.piece, namespace=HOSTILE, lines=(line,), details=details)
    entry = replace(entry, document={**entry.document, "containers": [container]}, piece=piece)
    live.answered(HOSTILE, replace(made, entries=(entry, replace(entry, namespace="shop"))))
    live.failed(HOSTILE, SourceUnavailable(HOSTILE, hint=HOSTILE))
    live.unrecorded(HOSTILE, MoraError(HOSTILE, hint=HOSTILE))
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        for at, value in ((MADE_AT - 2 * DAY, 100), (MADE_AT, 200)):
            numbers = [seen(500, value, workload=HOSTILE, namespace=HOSTILE, container=HOSTILE, cluster=HOSTILE)]
            record.take(HOSTILE, at, numbers, [total(HOSTILE, cluster=HOSTILE)])
    for namespace in (None, HOSTILE):
        html = text(live, path, namespace=namespace)
        found = Tags(html).found
        with Record(tmp_path / "own.sqlite") as record:
            for at, value in ((MADE_AT - 2 * DAY, 100), (MADE_AT, 200)):
                record.take("", at, [seen(500, value)], [total()])
        own = Tags(text(served(), tmp_path / "own.sqlite")).found
        assert {tag for tag, _ in found} <= {tag for tag, _ in own}
        assert not any(name.startswith("on") for _, attributes in found for name in attributes)
        assert "\u202e" not in html
        assert [tag for tag, _ in found].count("script") == html.count("<script")
    assert "alert(1)" in html


def test_the_page_asks_nothing_of_any_network(tmp_path: Path) -> None:
    html = text(served(), tmp_path / "none")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert not any({"src", "srcset"} & set(attributes) for _, attributes in Tags(html).found)
    links = [attributes.get("href") or "" for _, attributes in Tags(html).found if "href" in attributes]
    assert not any("//" in link for link in links)


def test_the_trend_says_whether_it_gets_better(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.take("", MADE_AT - 7 * DAY, [], [total(waste_cores=8.0)])
        record.take("", MADE_AT, [], [total(waste_cores=4.0)])
    html = text(served(), path)
    assert "CPU that no workload needs fell from 8 cores to 4 cores" in html
    assert "memory that no workload needs stayed at 2 GiB" in html


def test_since_yesterday_names_what_was_changed_and_how_it_went(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.take("", MADE_AT - 2 * DAY, [seen(500, 100), seen(800, 200, workload="api")], [])
        record.take("", MADE_AT - 3600, [seen(100, 100), seen(800, 300, workload="api")], [])
    html = text(served(), path)
    assert "1 setting changed, 1 recommendation new or moved by a tenth." in html
    assert re.search(r">shop/web</th>.*?>applied<.*?>500m<.*?>100m<", html, re.DOTALL)
    assert re.search(r">shop/api</th>.*?>recommendation moved<.*?>200m<.*?>300m<", html, re.DOTALL)


def test_many_changes_do_not_bury_the_page(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.take("", MADE_AT - 2 * DAY, [], [])
        record.take("", MADE_AT - 60, [seen(500, 100, workload=f"w{n}") for n in range(300)], [])
    html = text(served(), path)
    assert html.count("newly recommended") == 50
    assert "250 more: /api/v1/changes" in html


def test_a_problem_without_a_hint_ends_with_its_message(tmp_path: Path) -> None:
    live = served()
    live.unrecorded("", MoraError("The record in r.sqlite cannot be used: no such table."))
    assert "The last answer is not in the record: The record in r.sqlite cannot be used: no such table.<" in text(
        live, tmp_path / "none"
    )
