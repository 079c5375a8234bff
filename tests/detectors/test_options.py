"""Options that cannot be are refused where they are given, by every detector and threshold that takes some."""

from __future__ import annotations

import math

import pytest

from mora import registry
from mora.detectors.options import number_between, whole_number
from mora.errors import BadInput


@pytest.mark.parametrize("text", ["quantile=2", "quantile=0", "quantile=1", "quantile=nan", "quantile=abc"])
def test_a_quantile_is_between_0_and_1(text: str) -> None:
    with pytest.raises(BadInput, match="quantile is"):
        registry.make("thresholds", *registry.named("thresholds", f"quantile:{text}"))


@pytest.mark.parametrize(
    "text",
    [
        "peaks:risk=0",
        "peaks:risk=2",
        "peaks:risk=nan",
        "sigma:sigmas=-1",
        "sigma:sigmas=nan",
        "sigma:sigmas=inf",
        "sigma:sigmas=true",
        "tracking:risk=0",
        "tracking:risk=1",
        "tracking:climb=-1",
        "tracking:climb=inf",
        "tracking:hold=-5",
        "tracking:hold=1.5",
        "tracking:hold=true",
    ],
)
def test_a_threshold_that_could_not_be_saved_or_read_again_is_not_made(text: str) -> None:
    with pytest.raises(BadInput, match=text.split(":")[1].split("=")[0]):
        registry.make("thresholds", *registry.named("thresholds", text))


@pytest.mark.parametrize(
    "text",
    [
        "kmeans:clusters=0",
        "kmeans:clusters=1.5",
        "kmeans:clusters=abc",
        "isolation-forest:trees=0",
        "isolation-forest:trees=2.5",
        "xgboost-residual:trees=0",
        "xgboost-residual:depth=-1",
        "xgboost-residual:learning_rate=nan",
        "helios:depth=abc",
        "helios:learning_rate=0",
    ],
)
def test_a_detector_is_not_made_of_what_its_library_would_refuse_or_ignore(text: str) -> None:
    with pytest.raises(BadInput, match=text.split(":")[1].split("=")[0]):
        registry.make("detectors", *registry.named("detectors", text))


@pytest.mark.parametrize("value", [0, 1, -1, math.nan, math.inf, "1", None, True])
def test_a_number_lies_between_its_bounds(value: object) -> None:
    with pytest.raises(BadInput, match="share is"):
        number_between("share", value, 0, 1)


@pytest.mark.parametrize("value", [0, 11, 2.0, "2", None, True])
def test_a_whole_number_is_one_and_within_its_bounds(value: object) -> None:
    with pytest.raises(BadInput, match="rows is"):
        whole_number("rows", value, 1, 10)
