"""What each forecaster expects of a cell: by its load, or by what it expects after the windows of the nearest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, Segment
from mora.fusion import NAIVE
from mora.model.cells import nearest_runs
from mora.model.learners import Fitted
from mora.response import LoadResponse, Run
from mora.seams import FittedForecaster

Outlook = Mapping[str, Mapping[Target, float]]
"""forecaster -> target -> mean use that it expects of the steps after a window."""


def window_readers(fitted: Fitted, response: LoadResponse) -> dict[str, FittedForecaster]:
    """The forecasters that know nothing of a load and look at windows instead."""
    first = response.runs[0]
    asked = AtLoad(Load(first.scenario, first.users), first.replicas)
    return {name: forecaster for name, forecaster in fitted.items() if not forecaster.levels([asked])[0]}


def outlooks_of(pieces: Sequence[Segment], fitted: Fitted) -> dict[str, Outlook]:
    """What each forecaster expects after every segment's last window, by the segment's name."""
    found: dict[str, dict[str, Mapping[Target, float]]] = {piece.name: {} for piece in pieces}
    windows = [AfterWindow(piece) for piece in pieces]
    for name, forecaster in fitted.items():
        for piece, levels in zip(pieces, forecaster.levels(windows), strict=True):
            found[piece.name][name] = {target: level[0] for target, level in levels.items()}
    return dict(found)


@dataclass(frozen=True, slots=True)
class Parts:
    """Fitted forecasters and what they need to answer for a cell.

    outlooks: experiment -> what is expected after a window of it, by the forecasters that look at windows.
    """

    forecasters: Fitted
    response: LoadResponse
    outlooks: Mapping[str, Outlook]

    def levels(self, target: Target, load: Load, replicas: int) -> dict[str, float]:
        """forecaster -> use per pod at the cell, without those that have no forecast of it.

        What is expected after the windows of the nearest runs is carried to the asked load by the load response; the
        naive forecast is not: it is use as it was.
        """
        found: dict[str, float] = {}
        for name, forecaster in self.forecasters.items():
            levels = forecaster.levels([AtLoad(load, replicas)])[0]
            if target in levels:
                found[name] = levels[target][0]
        nearest = nearest_runs(self.response, target, load, replicas, windowed=self.outlooks)
        outlooks = [(run, self.outlooks[run.experiment_id]) for run in nearest]
        for name in dict.fromkeys(name for _, outlook in outlooks for name in outlook if name not in found):
            expected = [
                outlook[name][target] * (1.0 if name == NAIVE else self._ratio(target, load, replicas, run))
                for run, outlook in outlooks
                if target in outlook.get(name, {})
            ]
            if expected:
                found[name] = float(np.mean(expected))
        return found

    def _ratio(self, target: Target, load: Load, replicas: int, run: Run) -> float:
        """Use at the asked cell over use at the run's cell, by the load response."""
        asked = self.response.use(target, load, replicas).value
        there = self.response.use(target, Load(run.scenario, run.users), run.replicas).value
        return asked / there if asked is not None and there else 1.0
