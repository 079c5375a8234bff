"""Contract suites for authors of plug-ins: what MOrA relies on, as pytest tests to inherit.

A plug-in is a package of yours with an entry point of the group `mora.plugins` (mora/registry.py):

    [project.entry-points."mora.plugins"]
    "forecasters.median" = "my_package.median:MedianForecaster"

Inherit the suite of its seam in a test module and fill in the one fixture. All its tests then run on your plug-in:

    import pytest
    from mora.testing import ForecasterContract
    from my_package.median import MedianForecaster

    class TestMedian(ForecasterContract):
        @pytest.fixture
        def forecaster(self):
            return MedianForecaster()

| seam | suite | fixture |
|---|---|---|
| forecasters | `ForecasterContract` | `forecaster`: a Forecaster |
| detectors | `DetectorContract` | `detector`: a Detector that is not fitted |
| sources | `SourceContract` | `stage`: a SourceStage, a source with a workload and a window that it knows |
| policies | `PolicyContract` | `policy`: a Policy |
| outputs | `OutputContract` | `output`: an Output |

Only pytest is needed beside MOrA itself. The Protocols are in mora/seams.py. Suites are imported at first use.

A whole forecaster, my_package/median.py:

    import numpy as np
    from mora.domain.learning import AfterWindow, AtRow, Saved
    from mora.features import TARGET_COLUMNS

    class FittedMedian:
        reasons = ()

        def levels(self, places):
            return [self._level(place) for place in places]

        def _level(self, place):
            if isinstance(place, AfterWindow):
                past = {name: values[-30:] for name, values in place.segment.values.items()}
            elif isinstance(place, AtRow) and place.row > 0:
                first = max(place.row - place.grid.steps, 0)
                past = {name: values[first : place.row] for name, values in place.grid.filled.items()}
            else:
                return {}  # of a load it knows nothing: what it expects after a window is carried to the load
            known = {target: past[column] for target, column in TARGET_COLUMNS.items() if column in past}
            return {
                target: (float(np.median(values)), float(max(np.quantile(values, 0.95), np.median(values))))
                for target, values in known.items()
            }

        def save(self):
            return Saved()  # nothing was learned; else a JSON document and named arrays

    class MedianForecaster:
        name = "median"
        is_refitted = True

        def fit(self, data, *, seed, reporter):
            return FittedMedian()

        def restore(self, saved):
            return FittedMedian()

`mora train frontend --forecasters prophet,lstm,median` then trains it beside the others: it is validated as they are,
and keeps its weight where it errs less than the naive forecast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mora.testing.detectors import DetectorContract
    from mora.testing.forecasters import ForecasterContract
    from mora.testing.outputs import OutputContract
    from mora.testing.policies import PolicyContract
    from mora.testing.sources import SourceContract, SourceStage

__all__ = [
    "DetectorContract",
    "ForecasterContract",
    "OutputContract",
    "PolicyContract",
    "SourceContract",
    "SourceStage",
]

_DOORS = {
    "DetectorContract": "mora.testing.detectors",
    "ForecasterContract": "mora.testing.forecasters",
    "OutputContract": "mora.testing.outputs",
    "PolicyContract": "mora.testing.policies",
    "SourceContract": "mora.testing.sources",
    "SourceStage": "mora.testing.sources",
}
# A failed assert of a suite then shows its values, as one in a test module does.
pytest.register_assert_rewrite(*_DOORS.values())


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'mora.testing' has no attribute {name!r}")
