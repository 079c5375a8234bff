"""CloudWatch's metrics: pages of both kinds, batches, units, and what it keeps of which step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from mora.domain import Window
from mora.errors import BadInput, SourceUnavailable
from mora.sources.aws import cloudwatch
from mora.sources.aws.client import AwsClient
from mora.sources.aws.cloudwatch import UNITS, Asked, Metric
from tests.sources.aws.conftest import ROWS, TIMES, WEB_PODS, WINDOW
from tests.sources.aws.rig import CLUSTER, STEP, Aws, point

POD = tuple(sorted({"ClusterName": CLUSTER, "Namespace": "shop", "PodName": "web", "FullPodName": WEB_PODS[0]}.items()))
CPU = Metric("ContainerInsights", "pod_cpu_usage_total", POD)


def values(client: AwsClient, *asked: Asked, window: Window = WINDOW) -> list[tuple[float, float]]:
    found = [
        (float(at), float(value))
        for part in cloudwatch.points(client, asked, window)
        for at, value in zip(part.seconds, part.values, strict=True)
    ]
    return sorted(found)


def test_a_point_ends_where_its_period_does(client: AwsClient) -> None:
    found = values(client, Asked(CPU, "Average"))
    assert found[0] == (WINDOW.start.timestamp(), 110.0)
    assert found[-1] == (WINDOW.end.timestamp(), 110.0 + ROWS - 1)


def test_pages_of_points_are_all_read(aws: Aws, client: AwsClient) -> None:
    whole = values(client, Asked(CPU, "Average"))
    aws.asked.clear()
    aws.page_size = 4
    assert values(client, Asked(CPU, "Average")) == whole
    assert aws.calls("GetMetricData") == 3


def test_more_queries_than_a_request_takes_are_sent_in_batches(aws: Aws, client: AwsClient) -> None:
    asked = [Asked(CPU, "Average")] + [Asked(Metric("ContainerInsights", f"none_{n}", POD), "Sum") for n in range(500)]
    assert len(values(client, *asked, window=Window(WINDOW.end - STEP, WINDOW.end, STEP))) == 2
    sizes = [len(body["MetricDataQueries"]) for name, body in aws.asked if name == "GetMetricData"]
    assert sizes == [500, 1]


def test_pages_of_metrics_are_all_read(aws: Aws, client: AwsClient) -> None:
    data = (point("paged", 1.0, "Count", {"ClusterName": CLUSTER, "Number": f"{n:04}"}, TIMES[-1]) for n in range(601))
    aws.put("Many", data)
    aws.asked.clear()
    found = list(cloudwatch.listed(client, "Many", "paged", [("ClusterName", CLUSTER), ("Number", None)]))
    assert len(found) == len(set(found)) == 601
    assert aws.calls("ListMetrics") == 2
    assert found[0].of("Number") == "0000"


def test_a_page_that_leads_to_itself_is_an_error(aws: Aws, client: AwsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        return {"Metrics": [], "NextToken": "again"}

    monkeypatch.setattr(client, "ask", same)
    with pytest.raises(SourceUnavailable, match="the same page again"):
        list(cloudwatch.listed(client, "Many", "paged", []))


def test_the_units_of_points_are_found_one_by_one(aws: Aws, client: AwsClient) -> None:
    of = {"ClusterName": "units"}
    aws.put("Units", [point("size", 2048.0, "Kilobytes", of, TIMES[0]), point("size", 3.0, "Megabytes", of, TIMES[9])])
    aws.put("Units", [point("other", 1.0, "None", of, TIMES[3])])
    sizes, other, none = (Metric("Units", name, tuple(of.items())) for name in ("size", "other", "nothing"))
    aws.asked.clear()
    assert cloudwatch.units(client, [sizes, other, none], WINDOW) == {
        sizes: ("Kilobytes", "Megabytes"),
        other: ("None",),
    }
    assert aws.calls("GetMetricData") == 1
    in_units = cloudwatch.in_units(Asked(sizes, "Maximum"), ("Kilobytes", "Megabytes"), "Bytes")
    assert [values(client, one) for one in in_units] == [
        [(WINDOW.start.timestamp(), 2048.0)],
        [(WINDOW.start.timestamp() + 9 * 300, 3.0)],
    ]
    assert cloudwatch.in_units(Asked(sizes, "Maximum"), ("Bytes",), "Bytes") == [Asked(sizes, "Maximum")]
    assert cloudwatch.in_units(Asked(sizes, "Maximum"), (), "Bytes") == [Asked(sizes, "Maximum")]


def test_every_unit_is_one_that_cloudwatch_has(client: AwsClient) -> None:
    known = set(client._client("cloudwatch").meta.service_model.shape_for("StandardUnit").enum)
    assert set(UNITS) <= known
    rates = {unit for unit in known if unit.endswith("/Second")}
    assert known - set(UNITS) <= rates


@pytest.mark.parametrize(
    ("step", "span", "needed"),
    [
        (timedelta(minutes=1), timedelta(days=14), None),
        (timedelta(minutes=1), timedelta(days=16), "--step 5m"),
        (timedelta(minutes=5), timedelta(days=60), None),
        (timedelta(minutes=10), timedelta(days=70), "--step 1h"),
        (timedelta(hours=1), timedelta(days=300), None),
        (timedelta(seconds=90), timedelta(hours=1), "--step 5m"),
    ],
)
def test_a_step_that_cloudwatch_keeps_no_points_of_is_refused(
    step: timedelta, span: timedelta, needed: str | None
) -> None:
    window = Window(WINDOW.end - span, WINDOW.end, step)
    if needed is None:
        cloudwatch.check_window(window, WINDOW.end)
        return
    with pytest.raises(BadInput) as refused:
        cloudwatch.check_window(window, WINDOW.end)
    assert needed in str(refused.value.hint)


def test_only_the_last_three_hours_are_listed_as_recent() -> None:
    assert cloudwatch.is_recent(WINDOW, TIMES[-1])
    assert not cloudwatch.is_recent(WINDOW, TIMES[-1] + timedelta(hours=3))


def test_an_answer_to_nothing_that_was_asked_is_an_error(client: AwsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dict[str, Any]] = [
        {"Id": "q7", "Timestamps": [], "Values": []},
        {"Id": "q0", "Timestamps": [TIMES[0]], "Values": []},
        {"Id": "q0", "StatusCode": "Forbidden"},
    ]
    for answer, words in zip(answers, ("not sent", "1 times and 0 values", "does not allow"), strict=True):
        monkeypatch.setattr(client, "ask", lambda *_, answer=answer, **__: {"MetricDataResults": [answer]})
        with pytest.raises(SourceUnavailable, match=words):
            values(client, Asked(CPU, "Average"))


def test_a_metric_that_cloudwatch_could_not_read_is_asked_for_again(
    client: AwsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{"Id": "q0", "StatusCode": "InternalError"}, {"Id": "q0", "Timestamps": [TIMES[0]], "Values": [1.0]}]

    class Broken:
        def get_metric_data(self, **arguments: Any) -> dict[str, Any]:
            return {"MetricDataResults": [answers.pop(0)]}

    monkeypatch.setattr(client, "_client", lambda service: Broken())
    (found,) = cloudwatch.points(client, [Asked(CPU, "Average")], WINDOW)
    assert np.array_equal(found.values, [1.0])
    assert Asked(CPU, "Average").text().startswith("Average of ContainerInsights/pod_cpu_usage_total {ClusterName=prod")
    assert STEP.total_seconds() == found.seconds[0] - TIMES[0].timestamp()
