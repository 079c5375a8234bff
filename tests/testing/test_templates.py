"""The templates of ARCHITECTURE.md keep the contracts of their seams, as they stand on the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mora import registry
from mora.domain import Window, Workload
from mora.seams import Detector, Forecaster, Output, Policy
from mora.testing import (
    DetectorContract,
    ForecasterContract,
    OutputContract,
    PolicyContract,
    SourceContract,
    SourceStage,
)

PAGE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"


@cache
def templates() -> dict[str, str]:
    """Seam and name -> the code of its template."""
    return dict(re.findall(r"```python (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


def built(name: str, attribute: str) -> Any:
    """What the code of a template defines."""
    found: dict[str, Any] = {}
    exec(compile(templates()[name], f"ARCHITECTURE.md: {name}", "exec"), found)  # noqa: S102  # the page's own code
    return found[attribute]


class TestForecaster(ForecasterContract):
    @pytest.fixture
    def forecaster(self) -> Forecaster:
        made: Forecaster = built("forecasters.median", "MedianForecaster")()
        return made


class TestSource(SourceContract):
    @pytest.fixture
    def stage(self) -> SourceStage:
        end = datetime(2026, 11, 21, 5, tzinfo=UTC)
        window = Window(end - timedelta(hours=1), end, timedelta(seconds=15))
        return SourceStage(built("sources.steady", "SteadySource")(), Workload("shop", "frontend"), window)


class TestPolicy(PolicyContract):
    @pytest.fixture
    def policy(self) -> Policy:
        made: Policy = built("policies.cautious", "cautious")
        return made


class TestOutput(OutputContract):
    @pytest.fixture
    def output(self) -> Output:
        made: Output = built("outputs.lines", "lines")
        return made


class TestDetector(DetectorContract):
    @pytest.fixture
    def detector(self) -> Detector:
        made: Detector = built("detectors.distance", "DistanceDetector")()
        return made


def test_every_open_seam_has_a_template() -> None:
    assert {name.partition(".")[0] for name in templates()} == set(registry.OPEN_SEAMS)
