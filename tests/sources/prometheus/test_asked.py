"""The paces of a window: each piece of it is asked for at the one pace that is its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Window
from mora.sources.prometheus.asked import Pace, Paces
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.test_believable import COUNT, END, USE, Odd, odd

START = datetime(2026, 11, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)


def pace(minutes: float) -> Pace:
    return Pace(timedelta(minutes=minutes), timedelta(minutes=4 * minutes))


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 500),
    st.integers(1, 200),
    st.lists(st.integers(-100, 3000), max_size=3).map(sorted),
)
def test_the_pieces_cover_the_window_once_and_each_has_the_pace_of_all_its_moments(
    samples: int, longest: int, changes: list[int]
) -> None:
    window = Window(START, START + (samples - 1) * STEP, STEP)
    since = [(START, pace(1))]
    since += [(START + timedelta(minutes=at), pace(2 + number)) for number, at in enumerate(changes)]
    paces = Paces(tuple(since))
    pieces = paces.cut(window, longest)
    moments = [piece.start + n * STEP for piece, _ in pieces for n in range(piece.sample_count)]
    assert moments == [START + n * STEP for n in range(samples)]
    for piece, of_piece in pieces:
        assert piece.sample_count <= longest
        assert {paces.at(piece.start), paces.at(piece.end)} == {of_piece}


def test_memory_is_looked_at_over_two_scrapes_at_least() -> None:
    assert pace(1).span(STEP) == STEP
    assert pace(5).span(STEP) == timedelta(minutes=10)


def test_a_change_is_put_into_words() -> None:
    (told,) = Paces(((START, pace(5)), (START + timedelta(days=12), pace(0.5)))).words()
    assert told == (
        "The scrape interval of cAdvisor changed from 5m to 30s about 2026-11-13 00:00 UTC: rates are taken over 20m "
        "before that, and over 2m after it."
    )
    assert Paces(((START, pace(5)),)).words() == ()


# --- in a real Prometheus --------------------------------------------------------------------------------------------


class Changed(Odd):
    """CPU counters that are scraped every five minutes, from a day before the end on every minute; or the reverse."""

    is_reverse = False

    def groups(self) -> Iterator[Group]:
        """The series, with the counter in two parts."""
        for group in super().groups():
            if not group.labels or group.labels[0]["__name__"] != "container_cpu_usage_seconds_total":
                yield group
                continue
            cut = len(COUNT) - 1 - rig.DAY
            cut -= cut % 5
            old, new = (1, 5) if self.is_reverse else (5, 1)
            yield Group(group.labels, self.start, 60 * old, group.values[:, :cut:old])
            yield Group(group.labels, self.start + 60 * cut, 60 * new, group.values[:, cut::new])


class Reversed(Changed):
    """The reverse: scraped every minute, and of late every five."""

    is_reverse = True


@pytest.mark.parametrize("kind", [Changed, Reversed])
def test_history_whose_scrape_interval_changes_is_read_in_full(tmp_path: Path, kind: type[Changed]) -> None:
    plain = odd(COUNT)
    fleet = kind(plain.services, END, counter=COUNT)
    end = datetime.fromtimestamp(END, UTC)
    with rig.serving(tmp_path, fleet) as url:
        source = PrometheusFleet(PrometheusSource(url, retries=0), now=lambda: end)
        window = Window(end - timedelta(days=3), end, STEP)
        (history,) = source.histories(source.states("shop"), window)
    found = history.containers["web"]
    known = ~np.isnan(found.cpu_cores)
    assert known[1:].all()
    expected = float(np.quantile(USE[-3 * rig.DAY :], 0.9))
    assert float(np.nanquantile(found.cpu_cores, 0.9)) == pytest.approx(expected, rel=0.03)
    (told,) = [one for one in history.warnings if "scrape interval" in one]
    assert ("changed from 1m to 5m" if fleet.is_reverse else "changed from 5m to 1m") in told
    assert len([name for name in history.queries if name.startswith("cpu until ")]) == 1
    assert history.late == ""
