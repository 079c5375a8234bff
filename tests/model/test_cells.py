"""Which cells train, which choose and which score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.model.cells import cell_of, split_cells
from mora.response import LoadResponse
from tests import fakes_learning as fakes
from tests.model.conftest import Data


@pytest.fixture(scope="module")
def response(data: Data) -> LoadResponse:
    return LoadResponse.fit(*data)


@given(st.integers(0, 1000))
def test_repeats_of_a_cell_are_never_on_both_sides_of_a_split(response: LoadResponse, seed: int) -> None:
    split = split_cells(response.runs, seed=seed)
    parts = (split.fit, split.choose, split.score)
    assert sorted(name for part in parts for name in part) == sorted(run.experiment_id for run in response.runs)
    cells = [{cell_of(run) for run in response.runs if run.experiment_id in part} for part in parts]
    assert sum(len(part) for part in cells) == len(set().union(*cells))
    for part in cells:
        assert {cell[0] for cell in part} == {"browsing", "checkout"}
    assert [len(part) for part in parts] == [16, 12, 8]


def test_with_few_cells_one_stops_the_network_and_none_scores() -> None:
    few = LoadResponse.fit(*fakes.driven(replicas=(1, 2), users=(20,), repeats=1))
    split = split_cells(few.runs, seed=0)
    assert (len(split.fit), len(split.choose), len(split.score)) == (3, 1, 0)
