"""The contract of a metric source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from mora.domain import Observation, Window, Workload
from mora.errors import MoraError
from mora.metrics import MEASURED_COLUMNS
from mora.seams import MetricSource


@dataclass(frozen=True)
class SourceStage:
    """A source at work: a workload and a window that it has data of."""

    source: MetricSource
    workload: Workload
    window: Window


class SourceContract:
    """Inherit it and fill in the fixture `stage`."""

    @pytest.fixture
    def stage(self) -> SourceStage:
        """The source that is tested, with a workload and a window that it has data of."""
        raise NotImplementedError("Fill in the fixture `stage`: return a SourceStage.")

    def test_services_are_sorted_and_the_workload_is_one_of_them(self, stage: SourceStage) -> None:
        """services() of the workload's namespace."""
        services = stage.source.services(stage.workload.namespace)
        assert services == sorted(services)
        assert stage.workload.name in services

    def test_an_observation_has_all_measured_columns_in_the_order_of_time(self, stage: SourceStage) -> None:
        """A UTC index without repeats, within the window; CPU is known, nothing is infinite."""
        seen = stage.source.observe(stage.workload, stage.window)
        assert isinstance(seen, Observation)
        assert (seen.workload, seen.window) == (stage.workload, stage.window)
        assert set(MEASURED_COLUMNS) <= set(seen.metrics.columns)
        index = seen.metrics.index
        assert isinstance(index, pd.DatetimeIndex)
        assert str(index.tz) == "UTC"
        assert index.is_monotonic_increasing
        assert index.is_unique
        assert index[0] >= stage.window.start
        assert index[-1] <= stage.window.end
        assert seen.metrics["cpu_cores_value"].notna().all()
        assert not np.isinf(seen.metrics.to_numpy(dtype=float)).any()

    def test_the_queries_that_were_sent_are_those_that_were_announced(self, stage: SourceStage) -> None:
        """queries() sends nothing and gives what observe() sends."""
        seen = stage.source.observe(stage.workload, stage.window)
        assert dict(seen.queries) == dict(stage.source.queries(stage.workload, stage.window)) != {}

    def test_an_unknown_workload_is_an_error_that_names_it_and_those_there_are(self, stage: SourceStage) -> None:
        """A MoraError; never an empty observation."""
        with pytest.raises(MoraError) as refused:
            stage.source.observe(Workload(stage.workload.namespace, "nonesuch"), stage.window)
        assert "nonesuch" in str(refused.value)
        assert stage.workload.name in str(refused.value)
