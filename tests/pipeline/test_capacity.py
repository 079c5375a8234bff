"""Capacity from the committed data, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import pipeline
from mora.domain import Slo
from mora.errors import BadDataset, BadInput, NotEnoughData

DATA = Path(__file__).parents[2] / "data"


def test_the_committed_data_shows_a_knee_between_35_and_60_users_a_pod() -> None:
    browsing, checkout = pipeline.read_capacities(DATA)
    for found in (browsing, checkout):
        assert found.bracket.kept is not None
        assert found.bracket.broken is not None
        assert (found.bracket.kept.users, found.bracket.broken.users) == (35, 60)
        assert found.requests_per_second is not None
        assert found.full is not None
        assert found.full.service == "frontend"
    assert browsing.full is not None
    assert 28 < browsing.full.users_per_pod < 34


def test_a_tighter_slo_is_broken_earlier() -> None:
    (loose,) = pipeline.read_capacities(DATA, scenario="browsing")
    (tight,) = pipeline.read_capacities(DATA, scenario="browsing", slo=Slo(0.05, 0.01))
    assert tight.users is not None
    assert loose.users is not None
    assert tight.users < loose.users


def test_what_was_not_driven_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No run drove the scenario 'sleeping'"):
        pipeline.read_capacities(DATA, scenario="sleeping")
    with pytest.raises((NotEnoughData, BadDataset)):
        pipeline.read_capacities(tmp_path)


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    pipeline.write_capacity_page(pipeline.read_capacities(DATA), tmp_path / "page.html", source="data")
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
