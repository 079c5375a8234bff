"""Frames from series: pieces joined, the main container beside the others, what is missing stays missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mora.domain import Window
from mora.sources.prometheus.frames import (
    Series,
    annotated_container,
    container_names,
    containers_frame,
    joined,
    metrics_frame,
)
from mora.sources.prometheus.grid import cut, index_of
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.promql import DEFAULT_CONTAINER_LABEL

START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=3), timedelta(minutes=1))
NAN = np.nan


def test_pieces_are_joined_by_their_labels_whatever_the_order_of_these() -> None:
    first, second = cut(WINDOW, 2)
    parts = [
        ("cpu", first, [Strip({"a": "1", "b": "2"}, slice(0, 2), np.array([1.0, 2.0]))]),
        (
            "cpu",
            second,
            [Strip({"b": "2", "a": "1"}, np.array([1]), np.array([4.0])), Strip({}, slice(0, 1), np.ones(1))],
        ),
    ]
    answers = joined(parts, ["cpu", "memory"], WINDOW)
    assert answers["memory"] == []
    np.testing.assert_array_equal(answers["cpu"][0].values, [1, 2, NAN, 4])
    np.testing.assert_array_equal(answers["cpu"][1].values, [NAN, NAN, 1, NAN])


def series(container: str, *values: float) -> Series:
    return Series({"container": container}, np.array(values))


def test_the_main_containers_columns_and_the_other_containers_rows() -> None:
    answers = {
        "cpu_cores_value": [series("app", 1, 2, 3, 4), series("proxy", NAN, 0.2, NAN, 0.4)],
        "mem_bytes_value": [series("app", 5, 6, 7, 8)],
        "replica_count_value": [Series({}, np.full(4, 2.0))],
        "oom_kills": [series("app", 0, 0, 0, 0)],
        **{column: [] for column in ("cpu_request_cores", "cpu_limit_cores", "mem_request_bytes", "mem_limit_bytes")},
    }
    index = index_of(WINDOW)
    frame = metrics_frame(answers, "app", index)
    assert frame["cpu_cores_value"].tolist() == [1, 2, 3, 4]
    assert frame["replica_count_value"].tolist() == [2, 2, 2, 2]
    assert frame["mem_limit_bytes"].isna().all()
    others = containers_frame(answers, ["proxy"], index)
    assert others[["container", "cpu_cores"]].to_numpy().tolist() == [["proxy", 0.2], ["proxy", 0.4]]
    assert containers_frame(answers, [], index).empty


@pytest.mark.parametrize(
    ("column", "names"),
    [("oom_kills", ["app"]), ("cpu_cores_value", ["app", "init"]), ("mem_bytes_value", ["app", "init"])],
)
def test_init_containers_are_left_out_where_kube_state_metrics_names_the_containers(
    column: str, names: list[str]
) -> None:
    answers: dict[str, list[Series]] = {"oom_kills": [], "cpu_cores_value": [], "mem_bytes_value": []}
    answers[column] = [series(name, 0) for name in reversed(names)]
    assert container_names(answers) == names


def test_the_container_that_was_annotated_last_counts() -> None:
    answer = [
        Series({DEFAULT_CONTAINER_LABEL: "old"}, np.array([1, 1, NAN, NAN])),
        Series({DEFAULT_CONTAINER_LABEL: "new"}, np.array([NAN, NAN, NAN, 1])),
        Series({}, np.ones(4)),
    ]
    assert annotated_container(answer) == "new"
    assert annotated_container([]) is None
