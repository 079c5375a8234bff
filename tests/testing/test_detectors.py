"""Every registered detector keeps the contract."""

from __future__ import annotations

import pytest

from mora import registry
from mora.seams import Detector
from mora.testing import DetectorContract


@pytest.fixture(params=registry.names("detectors"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestDetectors(DetectorContract):
    @pytest.fixture
    def detector(self, name: str) -> Detector:
        made: Detector = registry.load("detectors", name)()
        assert made.name == name
        return made
