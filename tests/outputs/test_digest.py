from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from mora.outputs.digest import FORMS, as_json, markdown, slack, text
from mora.record.digest import Digest
from mora.record.numbers import Use
from mora.record.store import Record
from mora.savings import Prices
from tests.record.making import DAY, START, seen, total
from tests.record.test_digest import WEEK, a_week, read

PRICES = Prices(0.03, 0.004)
HOSTILE = "<!channel> [x](https://evil.example) <script>alert(1)</script>\u202e|`*_~\n# big"


@pytest.fixture
def week(tmp_path: Path) -> Digest:
    a_week(tmp_path / "record.sqlite")
    return read(tmp_path / "record.sqlite")


def test_the_text_is_what_a_person_wants_to_know(week: Digest) -> None:
    assert text(week, PRICES).splitlines() == [
        "MOrA digest, 2026-09-21 14:14 UTC to 2026-09-28 14:13 UTC",
        "",
        "Recommended: 2 changes of 2 workloads are waiting to be applied.",
        "Applied: 3 changes at 2 workloads, 1 change at 1 workload in part, "
        "1 setting at 1 workload became something else.",
        "Covered: 2 of 3 applied requests covered the use since. 1 request not checked yet. Exceeded:",
        "  - shop/web server: memory request 1Gi, needed 1.2 GiB, 1 OOM kill",
        "Freed: 2.4 cores and 9 GiB: 78.84 USD a month less. "
        "1 change not counted: nothing was set before, or it does not run all the time.",
        "Waste: 4 cores and 2 GiB are reserved beyond need. Before: 9 cores and 2 GiB.",
    ]


def test_nothing_happened_is_a_digest_too(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        record.take("", START, [seen(100, 100)], [total()])
    told = text(read(tmp_path / "record.sqlite"))
    assert "Recommended: no change is waiting to be applied." in told
    assert "Applied: no setting was changed." in told
    assert "Covered: no applied request has been checked." in told
    assert "Freed: nothing, since nothing was applied." in told


def test_a_refresh_that_fails_is_in_it(tmp_path: Path) -> None:
    with Record(tmp_path / "record.sqlite") as record:
        record.take("", START, [seen(100, 100)], [total()])
        record.failed("", START + DAY, "Prometheus does not answer.")
    assert "Attention: The last refresh failed, so the figures end before it.\n  - Prometheus does not answer." in text(
        read(tmp_path / "record.sqlite")
    )
    (refresh,) = json.loads(as_json(read(tmp_path / "record.sqlite")))["refreshes"]
    assert refresh["problem"] == "Prometheus does not answer."
    assert refresh["succeeded_at"] < refresh["at"]


def test_json_has_the_figures(week: Digest) -> None:
    found = json.loads(as_json(week, PRICES))
    assert found["recommended"] == {"workloads": 2, "changes": 2}
    assert [one["workload"] for one in found["changed_otherwise"]] == ["cart"]
    assert found["freed"] == {
        "cpu_cores": 2.4,
        "memory_gib": 9.0,
        "money_per_month": 78.84,
        "uncounted_changes": 1,
    }
    assert json.loads(as_json(week))["freed"]["money_per_month"] is None
    assert found["waste"]["then"] == {"at": "2026-09-21T14:00:00Z", "cpu_cores": 9.0, "memory_gib": 2.0}
    assert (found["waste"]["now"]["cpu_cores"], found["waste"]["now"]["memory_gib"]) == (4.0, 2.0)
    assert [one["problem"] for one in found["refreshes"]] == [None]


def test_slack_gets_blocks_within_its_limits(week: Digest) -> None:
    message = json.loads(slack(week, PRICES))
    assert message["text"].startswith("MOrA digest")
    assert len(message["blocks"]) <= 50
    assert [block["type"] for block in message["blocks"]] == ["header", *["section"] * 5]
    assert all(len(block["text"]["text"]) <= 3000 for block in message["blocks"])
    assert "*Freed:* 2.4 cores and 9 GiB" in message["blocks"][4]["text"]["text"]


@pytest.fixture
def hostile(tmp_path: Path) -> Digest:
    """A digest in which every name is hostile."""
    path = tmp_path / "record.sqlite"
    names = {"workload": HOSTILE, "namespace": HOSTILE, "container": HOSTILE, "cluster": HOSTILE}
    with Record(path) as record:
        record.take(HOSTILE, START, [seen(500, 100, **names)], [total(HOSTILE, cluster=HOSTILE)])  # type: ignore[arg-type]
        record.take(HOSTILE, START + DAY, [seen(100, 100, **names)], [total(HOSTILE, cluster=HOSTILE)])  # type: ignore[arg-type]
        uses = {one.episode: Use(one.since, START + WEEK, 9, 500.0) for one in record.in_force(HOSTILE)}
        record.take(HOSTILE, START + WEEK, [seen(100, 100, **names)], [], uses=uses)  # type: ignore[arg-type]
        record.failed(HOSTILE, START + WEEK + 1, HOSTILE)
    return read(path, cluster=HOSTILE, namespace=HOSTILE)


def test_a_name_cannot_mention_link_format_or_turn_text_around(hostile: Digest) -> None:
    for make in FORMS.values():
        assert "\u202e" not in make(hostile, None)
    message = json.loads(slack(hostile))
    for block in message["blocks"][1:]:
        assert "<" not in block["text"]["text"]
        assert block["text"]["verbatim"] is True
    assert "<" not in message["text"]
    assert "https:" not in markdown(hostile)  # GitHub makes a link of it without any brackets
    html = MarkdownIt("commonmark").render(markdown(hostile))
    assert "<script" not in html
    assert "<a " not in html
    assert "<h1" not in html
    assert html.count("<h2>") == 1
    assert len(text(hostile).splitlines()) < 12


def test_many_names_are_cut_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    names = [f"w{number:03}-{'x' * 200}" for number in range(200)]
    with Record(path) as record:
        record.take("", START, [seen(500, 100, workload=name) for name in names], [total()])
        record.take("", START + DAY, [seen(100, 100, workload=name) for name in names], [total()])
        uses = {one.episode: Use(one.since, START + WEEK, 9, 500.0) for one in record.in_force("")}
        record.take("", START + WEEK, [seen(100, 100, workload=name) for name in names], [], uses=uses)
    found = read(path)
    assert "and 190 more" in text(found)
    assert all(len(block["text"]["text"]) <= 3000 for block in json.loads(slack(found))["blocks"])
