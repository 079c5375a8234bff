"""The catalogue has exactly the faults that a sandbox can do, with strengths that it takes."""

from __future__ import annotations

import pytest

from mora.chaos.catalogue import KINDS, Kind
from mora.metrics import ALL_COLUMNS
from mora.sandbox.faults import STRENGTHS
from mora.sandbox.spec import SERVICES


def test_every_fault_of_the_sandbox_is_described_and_no_other() -> None:
    assert set(KINDS) == set(STRENGTHS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_its_usual_and_drawn_strengths_are_possible_and_its_metrics_exist(kind: Kind) -> None:
    least, most = STRENGTHS[kind.name]
    assert least <= min(kind.usual, kind.drawn[0])
    assert max(kind.usual, kind.drawn[1]) <= most
    assert kind.drawn[0] <= kind.drawn[1]
    assert set(kind.metrics) <= set(ALL_COLUMNS)
    assert set(kind.targets) <= {spec.name for spec in SERVICES}
    assert (kind.unit == "") == (least == most), "what has a strength has a unit"
