"""CPU counters that step back, in a real Prometheus: they are read as means, not as restarts from nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mora.domain import Target
from tests.fleet import rig
from tests.sources.prometheus.test_believable import COUNT, LAST, USE, odd, of_use, read


@pytest.mark.parametrize("before", [90_000.0, 40.0], ids=["an old counter", "a young one"])
def test_a_counter_that_two_collectors_write_is_no_counter_that_restarts(tmp_path: Path, before: float) -> None:
    # Each scrape twice: half a minute later once more, as it was a little before the first.
    counter = COUNT - 90_000 + before
    found = read(tmp_path, odd(np.stack([counter, counter - 0.4], axis=1).ravel(), every=30))
    level, highest = of_use(found)
    recent = USE[-3 * rig.DAY :]
    assert level == pytest.approx(float(np.quantile(recent, 0.95)), rel=0.08)
    assert highest < 1.2 * float(recent.max())
    assert "steps back" in found.left_out[Target.CPU].remark
    assert found.left_out[Target.CPU].share < 0.01


def test_steps_back_of_another_day_are_found_where_samples_had_to_be_left_out(tmp_path: Path) -> None:
    """Two collectors for a day, two days ago; before and since, the counter only rises."""
    on_minutes, between = COUNT.copy(), (COUNT + np.append(COUNT[1:], COUNT[-1:])) / 2
    day = slice(LAST - 2 * rig.DAY, LAST - rig.DAY)
    on_minutes[day] -= 0.4
    between[day] = COUNT[day.start + 1 : day.stop + 1]
    found = read(tmp_path, odd(np.stack([on_minutes, between], axis=1).ravel(), every=30, node=64.0))
    recent = USE[-3 * rig.DAY :]
    level, highest = of_use(found)
    assert "steps back" in found.left_out[Target.CPU].remark
    assert level == pytest.approx(float(np.quantile(recent, 0.95)), rel=0.08)
    assert highest < 1.2 * float(recent.max())
