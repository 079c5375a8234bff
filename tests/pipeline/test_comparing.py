"""Comparing detectors: what is asked for, what is kept, in one process and in several."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import BadInput
from mora.health.labelled import traces_folder
from mora.pipeline.comparing import SLOW, _all_detectors, compare_detectors, write_comparison
from tests.health.making import labelled_file

PAIR = ("robust-z", "context-distance")


def test_a_file_is_compared_in_several_processes_as_in_one_and_kept(tmp_path: Path) -> None:
    path = labelled_file(tmp_path)
    one = compare_detectors([path], detectors=PAIR)
    two = compare_detectors([path], detectors=PAIR, jobs=2, cache_dir=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 4
    again = compare_detectors([path], detectors=PAIR, cache_dir=tmp_path / "kept")
    assert again == two
    assert [result.vus_pr for result in one.results] == [result.vus_pr for result in two.results]
    assert one.reference == "context-distance"
    assert all(result.events["tracking"].judged == 390 for result in one.results)


def test_only_some_series_and_a_number_of_them(tmp_path: Path) -> None:
    path = labelled_file(tmp_path, series=("api", "cart", "web"))
    found = compare_detectors([path], detectors=["robust-z"], only=["shop/c*"])
    assert [result.series for result in found.results] == ["cart"]
    found = compare_detectors([path], detectors=["robust-z@2", "context-distance"])
    assert [result.series for result in found.results if result.detector == "robust-z"] == ["api", "web"]
    assert list(found.means()) == ["context-distance"]
    with pytest.raises(BadInput, match="No series is named"):
        compare_detectors([path], detectors=["robust-z"], only=["shop/z*"])


def test_thresholds_with_options_are_measured_side_by_side(tmp_path: Path) -> None:
    path = labelled_file(tmp_path)
    found = compare_detectors([path], detectors=["robust-z"], thresholds=["quantile:quantile=0.5", "quantile"])
    loose, usual = (found.ranked(name)[0].events for name in found.thresholds)
    assert loose.flagged_share > 0.4 > usual.flagged_share
    assert found.ranked()[0].events == loose


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"detectors": ["magic"]}, "no 'magic' among the detectors"),
        ({"thresholds": ["magic"]}, "no 'magic' among the thresholds"),
        ({"detectors": ["robust-z:speed=1"]}, "does not take"),
        ({"detectors": ["robust-z@0"]}, "number of series"),
        ({"detectors": ["robust-z@2", "robust-z"]}, "named twice"),
        ({"detectors": ["robust-z"], "reference": "pca"}, "not among the detectors"),
        ({"sets": ["nab"]}, "compared apart"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_fitted(
    tmp_path: Path, asked: dict[str, object], message: str
) -> None:
    path = labelled_file(tmp_path)
    with pytest.raises(BadInput, match=message):
        compare_detectors([path], **{"detectors": ["robust-z"], **asked})  # type: ignore[arg-type]  # as asked


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = [labelled_file(tmp_path), labelled_file(tmp_path / "a")]
    with pytest.raises(BadInput, match="Two files have a series shop/api"):
        compare_detectors(files, detectors=["robust-z"])


def test_without_files_the_recorded_sets_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="MORA_TRACES"):
        compare_detectors(detectors=["robust-z"], traces=tmp_path)


@pytest.mark.skipif(not (traces_folder() / "boutique_pods.parquet").is_file(), reason="no traces: set MORA_TRACES")
def test_the_default_detector_ranks_the_injected_faults_of_real_pods_first() -> None:
    found = compare_detectors(sets=["pods"], detectors=["context-distance"])
    (row,) = found.ranked()
    assert row.series == 10
    assert row.vus_pr > 0.35
    assert row.events.flagged_share < 0.5


def test_slow_detectors_are_fitted_on_some_series_unless_they_are_named() -> None:
    names = _all_detectors()
    assert "context-distance" in names
    assert {name.partition("@")[0] for name in names if "@" in name} <= set(SLOW)


def test_the_page_is_written(tmp_path: Path) -> None:
    found = compare_detectors([labelled_file(tmp_path)], detectors=["robust-z"])
    write_comparison(found, tmp_path / "out.html")
    assert "detectors compared" in (tmp_path / "out.html").read_text()
