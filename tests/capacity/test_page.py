"""The report of capacity: every driven load as text, and a page whose pictures are of these numbers."""

from __future__ import annotations

from mora.capacity import Trial, Use, capacity_of
from mora.capacity.page import capacity_page, capacity_text
from mora.domain import Slo


def trial(users: int, p95: float, *, replicas: int = 1, scenario: str = "browsing") -> Trial:
    share = users / replicas
    rate = replicas * min(share, 45 + share / 50)
    interval = (0.8 * p95, 1.3 * p95)
    uses = {"frontend": Use(min(0.004 * share, 0.18), 0.18)}
    return Trial(scenario, users, replicas, 1, rate, p95, interval, 0.0, uses)


TRIED = [trial(10, 0.02), trial(43, 0.1), trial(50, 0.25), trial(54, 0.35), trial(60, 0.03, replicas=2)]
FOUND = capacity_of(TRIED, "browsing", Slo(), target_utilisation=0.7)


def test_every_driven_load_is_a_row_and_the_law_stands_beside_the_knee() -> None:
    text = capacity_text([FOUND])
    assert "One pod serves 52 users (46 requests/s) of browsing at p95 <= 300ms, between 50 and 54" in text
    assert "USL: a pod answers at most" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  ") and line.split()[0].isdigit()]
    assert [(row[1], row[-1]) for row in rows] == [
        ("10", "kept"),
        ("60", "kept"),
        ("43", "kept"),
        ("50", "kept"),
        ("54", "broken"),
    ]


def test_the_page_has_two_pictures_for_every_scenario_and_its_policy() -> None:
    other = capacity_of([trial(10, 0.02, scenario="checkout")], "checkout", Slo(), target_utilisation=0.7)
    page = capacity_page([FOUND, other], source="data")
    for words in ("browsing: response time against load", "checkout: throughput against load", "knee: 52 users"):
        assert words in page
    assert "Content-Security-Policy" in page


def test_hostile_names_are_text() -> None:
    name = "<script>alert(1)</script>"
    hostile = capacity_of([trial(10, 0.02, scenario=name)], name, Slo(), target_utilisation=0.7)
    assert name not in capacity_page([hostile], source='"><img src=x>')
