"""What each forecaster expects of a cell: by its load, or carried from the nearest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from mora.domain import Load, Reason, Target
from mora.domain.learning import AfterWindow, AtLoad, Level, Place, Saved
from mora.features import segments
from mora.model.parts import Parts, outlooks_of, window_readers
from mora.response import LoadResponse
from tests import fakes_learning as fakes

FRAME, CARDS = fakes.driven(scenarios=("browsing",), repeats=1)
RESPONSE = LoadResponse.fit(FRAME, CARDS)
NAMES = [piece.name for piece in segments(FRAME)]


@dataclass(frozen=True)
class Fixed:
    """Answers of one kind of place alone, always the same."""

    kind: type
    mean: float
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        return [{Target.CPU: (self.mean, self.mean)} if isinstance(place, self.kind) else {} for place in places]

    def save(self) -> Saved:
        return Saved()


def test_what_knows_a_load_is_asked_for_it_and_the_others_look_at_windows() -> None:
    fitted = {"load": Fixed(AtLoad, 0.5), "window": Fixed(AfterWindow, 0.2), "naive": Fixed(AfterWindow, 0.1)}
    assert set(window_readers(fitted, RESPONSE)) == {"window", "naive"}
    outlooks = outlooks_of(segments(FRAME), window_readers(fitted, RESPONSE))
    assert outlooks[NAMES[0]] == {"window": {Target.CPU: 0.2}, "naive": {Target.CPU: 0.1}}
    levels = Parts(fitted, RESPONSE, outlooks).levels(Target.CPU, Load("browsing", 10), 1)
    # At a driven cell the nearest run is one of it: nothing is carried.
    assert levels == {"load": 0.5, "window": pytest.approx(0.2), "naive": pytest.approx(0.1)}


def test_what_is_expected_after_a_window_is_carried_by_the_load_response_and_the_naive_forecast_is_not() -> None:
    fitted = {"window": Fixed(AfterWindow, 0.2), "naive": Fixed(AfterWindow, 0.1)}
    parts = Parts(fitted, RESPONSE, outlooks_of(segments(FRAME), fitted))
    asked, there = (RESPONSE.use(Target.CPU, Load("browsing", users), 1).value for users in (11, 10))
    assert asked is not None
    assert there is not None
    levels = parts.levels(Target.CPU, Load("browsing", 11), 1)
    assert levels == {"window": pytest.approx(0.2 * asked / there), "naive": pytest.approx(0.1)}


def test_without_windows_only_what_knows_the_load_answers() -> None:
    parts = Parts({"load": Fixed(AtLoad, 0.5), "window": Fixed(AfterWindow, 0.2)}, RESPONSE, {})
    assert parts.levels(Target.CPU, Load("browsing", 10), 1) == {"load": 0.5}
    assert parts.levels(Target.MEMORY, Load("browsing", 10), 1) == {}
