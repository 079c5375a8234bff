"""The suite of sources: a small source passes, and each way to break the contract fails the test that names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest

from mora.domain import Observation, Window, Workload
from mora.errors import SourceUnavailable
from mora.testing import SourceContract, SourceStage
from tests.fakes import FakeSource

CALLS = count()
END = datetime(2026, 11, 21, 5, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=5), END, timedelta(seconds=15))


class Steady(FakeSource):
    """A source that names what it has where it does not know a workload."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        if workload.name not in self.names:
            raise SourceUnavailable(f"There is no {workload.name!r}.", hint=f"There are: {', '.join(self.names)}.")
        return super().observe(workload, window)


class Unsorted(Steady):
    def services(self, namespace: str) -> list[str]:
        return ["frontend", "cartservice"]


class Infinite(Steady):
    def observe(self, workload: Workload, window: Window) -> Observation:
        seen = super().observe(workload, window)
        return replace(seen, metrics=seen.metrics.assign(mem_bytes_value=np.inf))


class Backwards(Steady):
    def observe(self, workload: Workload, window: Window) -> Observation:
        seen = super().observe(workload, window)
        return replace(seen, metrics=seen.metrics.iloc[::-1])


class Unannounced(Steady):
    def queries(self, workload: Workload, window: Window) -> dict[str, str]:
        return {**super().queries(workload, window), f"number {next(CALLS)}": "up"}


def stage_of(source: FakeSource) -> SourceStage:
    return SourceStage(source, Workload("default", "frontend"), WINDOW)


class TestSteady(SourceContract):
    @pytest.fixture
    def stage(self) -> SourceStage:
        return stage_of(Steady())


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Unsorted(), SourceContract.test_services_are_sorted_and_the_workload_is_one_of_them),
        (Infinite(), SourceContract.test_an_observation_has_all_measured_columns_in_the_order_of_time),
        (Backwards(), SourceContract.test_an_observation_has_all_measured_columns_in_the_order_of_time),
        (Unannounced(), SourceContract.test_the_queries_that_were_sent_are_those_that_were_announced),
    ],
)
def test_a_source_that_breaks_the_contract_fails_the_test_that_names_it(
    broken: FakeSource, test: Callable[[SourceContract, SourceStage], None]
) -> None:
    with pytest.raises(AssertionError):
        test(SourceContract(), stage_of(broken))


def test_an_empty_observation_of_an_unknown_workload_is_refused() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        SourceContract().test_an_unknown_workload_is_an_error_that_names_it_and_those_there_are(stage_of(FakeSource()))
