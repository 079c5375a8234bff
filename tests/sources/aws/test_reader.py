"""A cluster of Container Insights, read through boto3 from a server on loopback: use, gaps, units, older agents."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from mora.domain import Target, Window, Workload
from mora.errors import BadInput, NotEnoughData, SourceUnavailable
from mora.sources.aws.client import AwsClient
from mora.sources.aws.reader import AwsReader
from mora.sources.aws.source import AwsSource
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import Scope, Signal
from tests.sources.aws.conftest import ROWS, TIMES, WEB_PODS, WINDOW, patient, source
from tests.sources.aws.rig import STEP, Aws, Pod, cluster_point, last_steps, pod_points, point

SHORT = TIMES[-6:]
SHORT_WINDOW = Window(SHORT[0] + STEP, SHORT[-1] + STEP, STEP)
WEB = Workload("shop", "web")


def test_the_hottest_pod_is_observed_with_what_it_requests(aws: Aws) -> None:
    seen = source().observe(WEB, WINDOW)
    assert seen.main_container == "web"
    assert np.allclose(seen.metrics["cpu_cores_value"], [(150 + row) / 1000 for row in range(ROWS)])
    assert np.allclose(seen.metrics["mem_bytes_value"], [(200 + row) * 2**20 for row in range(ROWS)])
    last = seen.metrics.iloc[-1]
    assert last["cpu_request_cores"] == 0.25
    assert last["mem_limit_bytes"] == 512 * 2**20
    assert last["replica_count_value"] == 2
    assert last["net_rx_bytes_value"] == 2000
    assert last["pod_restarts_value"] == 2
    assert last["oom_kills"] == 2
    assert set(seen.containers["container"]) == {"istio-proxy"}
    assert "node_cpu_util_value is empty: this cloud does not measure it." in seen.warnings


def test_states_and_histories_are_those_of_the_cluster(aws: Aws) -> None:
    there = source()
    states = there.states()
    assert [(one.workload.kind, one.workload.name) for one in states] == [
        ("StatefulSet", "redis"),
        ("Deployment", "web"),
    ]
    found = {one.workload.name: one for one in there.histories(states, WINDOW)}
    web = found["web"].containers["web"]
    assert web.pods == 2
    assert (web.oom_kills, web.oom_limit_bytes, web.oom_rows) == (2, 512 * 2**20, (8,))
    assert found["web"].containers["istio-proxy"].oom_kills == 0
    assert web.peak_pods[Target.CPU] == WEB_PODS[1]
    resources = states[1].allocation.containers[1].resources
    assert (resources.cpu_request_millicores, resources.memory_limit_bytes) == (250, 512 * 2**20)
    assert states[0].allocation.containers[0].resources.cpu_request_millicores is None


def test_the_units_of_a_cluster_are_asked_for_once_for_all_its_namespaces(aws: Aws) -> None:
    pods = [
        Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6}, namespace=namespace)
        for namespace in ("one", "three", "two")
    ]
    data = [one for pod in pods for one in pod_points(pod, SHORT, cluster="spaces")]
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="spaces"), *data])
    there = AwsSource("spaces", patience=patient())
    states = there.states()
    assert len({one.workload.namespace for one in states}) == 3
    aws.asked.clear()
    assert len(list(there.histories(states, SHORT_WINDOW))) == 3
    by_unit = [body for name, body in aws.asked if name == "GetMetricData" and "Unit" in str(body)]
    assert len(by_unit) == 1


def test_pages_and_throttling_change_nothing(aws: Aws) -> None:
    whole = source().observe(WEB, WINDOW).metrics
    aws.page_size, calls = 7, iter(range(10_000))
    aws.refuse = lambda operation: (400, "ThrottlingException", "Rate exceeded") if next(calls) % 3 == 0 else None
    assert source().observe(WEB, WINDOW).metrics.equals(whole)


def test_credentials_that_expire_in_the_middle_are_an_error_and_not_half_a_history(aws: Aws) -> None:
    there = AwsSource("prod", patience=patient())
    states = there.states()
    calls = iter(range(10_000))
    aws.refuse = lambda operation: (400, "ExpiredToken", "expired") if next(calls) > 5 else None
    with pytest.raises(SourceUnavailable, match="credentials have expired"):
        list(there.histories(states, WINDOW))


def test_gaps_stay_gaps_and_points_may_be_written_in_any_order(aws: Aws) -> None:
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6})
    data = list(pod_points(pod, SHORT, cluster="gaps"))
    kept = [one for one in reversed(data) if one["Timestamp"] not in SHORT[2:4]]
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="gaps"), *kept])
    seen = source("gaps").observe(WEB, SHORT_WINDOW).metrics["cpu_cores_value"]
    assert seen.isna().tolist() == [False, False, True, True, False, False]
    assert np.allclose(seen.dropna(), 0.1)


def test_a_change_of_unit_is_read_and_told(aws: Aws) -> None:
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6}, limits={"web": (500, 512)})
    data = list(pod_points(pod, SHORT, cluster="units"))
    for one in data:
        if one["Unit"] == "Bytes" and one["Timestamp"] >= SHORT[3]:
            one["Unit"], one["Value"] = "Kilobytes", one["Value"] / 1000
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="units"), *data])
    seen = source("units").observe(WEB, SHORT_WINDOW)
    assert np.allclose(seen.metrics["mem_bytes_value"], 50 * 2**20)
    assert np.allclose(seen.metrics["mem_limit_bytes"], 512 * 2**20)
    assert any("The unit of memory changed within the window" in words for words in seen.warnings)


def test_points_in_a_unit_that_is_none_of_theirs_are_left_out_and_told(aws: Aws) -> None:
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6}, limits={"web": (500, 512)})
    data = list(pod_points(pod, SHORT, cluster="wrong"))
    for one in data:
        if one["MetricName"].endswith("memory_limit"):
            one["Unit"] = "Seconds"
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="wrong"), *data])
    seen = source("wrong").observe(WEB, SHORT_WINDOW)
    assert seen.metrics["mem_limit_bytes"].isna().all()
    assert any("in the unit 'Seconds'" in words for words in seen.warnings)


def test_an_older_agent_is_read_by_the_size_of_its_nodes_where_all_are_alike(aws: Aws) -> None:
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6})
    amounts = ("pod_cpu_usage_total", "pod_memory_working_set")
    old = [one for one in pod_points(pod, SHORT, cluster="old") if one["MetricName"] not in amounts]
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="old"), *old])
    with pytest.raises(SourceUnavailable, match="and not how large it is") as refused:
        source("old").observe(WEB, SHORT_WINDOW)
    assert "amazon-cloudwatch-observability" in str(refused.value.hint)
    of = {"ClusterName": "old"}
    sizes = [(name, value) for name, value in (("node_cpu_limit", 4000.0), ("node_memory_limit", 16 * 2.0**30))]
    aws.put("ContainerInsights", [point(name, value, "None", of, at) for at in SHORT for name, value in sizes])
    seen = source("old").observe(WEB, SHORT_WINDOW).metrics
    assert np.allclose(seen["cpu_cores_value"], 0.1)
    assert np.allclose(seen["mem_bytes_value"], 50 * 2**20)
    aws.put("ContainerInsights", [point("node_cpu_limit", 8000.0, "None", of, SHORT[-1])])
    with pytest.raises(SourceUnavailable, match="nodes are of several sizes"):
        source("old").observe(WEB, SHORT_WINDOW)


def test_container_insights_without_containers_says_what_to_turn_on(aws: Aws) -> None:
    pod = Pod("web-7d4b9c8f6d-x2klp", "web", {"web": [100.0] * 6}, {"web": [50.0] * 6})
    plain = [
        {**one, "Dimensions": [two for two in one["Dimensions"] if two["Name"] != "FullPodName"]}
        for one in pod_points(pod, SHORT, cluster="plain")
        if one["MetricName"].startswith("pod_")
    ]
    aws.put("ContainerInsights", [cluster_point(SHORT[-1], cluster="plain"), *plain])
    with pytest.raises(SourceUnavailable, match="without enhanced observability"):
        source("plain").states()


def test_a_cluster_is_named_where_there_are_several_and_where_there_is_no_such_one(aws: Aws) -> None:
    aws.put("ContainerInsights", [cluster_point(TIMES[-1], cluster="lab")])
    with pytest.raises(BadInput, match=r"several clusters: .*lab") as several:
        AwsSource(patience=patient()).states()
    assert "--source aws:" in str(several.value.hint)
    with pytest.raises(SourceUnavailable, match="no Container Insights of a cluster 'nonesuch'") as none:
        source("nonesuch").states()
    assert "prod" in str(none.value.hint)
    with pytest.raises(SourceUnavailable, match="no Container Insights of any cluster") as nothing:
        AwsSource("us-east-2", patience=patient()).states()
    assert "Is it the right region" in str(nothing.value.hint)


def test_an_empty_answer_names_what_there_is(aws: Aws) -> None:
    with pytest.raises(NotEnoughData, match="nonesuch") as unknown:
        source().observe(Workload("shop", "nonesuch"), WINDOW)
    assert "redis, web" in str(unknown.value.hint)
    with pytest.raises(NotEnoughData) as other:
        source().observe(Workload("live", "web"), WINDOW)
    assert "shop" in str(other.value.hint)
    long_ago = Window(WINDOW.start - timedelta(days=5), WINDOW.end - timedelta(days=5), STEP)
    with pytest.raises(NotEnoughData, match="has no Deployment 'web'"):
        source().observe(WEB, long_ago)


def test_a_step_of_seconds_is_refused(aws: Aws) -> None:
    with pytest.raises(BadInput, match="every 1m"):
        source().observe(WEB, Window(WINDOW.start, WINDOW.end, timedelta(seconds=15)))
    with pytest.raises(BadInput, match="whole minutes"):
        source().observe(WEB, Window(WINDOW.start, WINDOW.end, timedelta(seconds=90)))
    assert aws.asked == []


def test_each_right_is_tried_by_its_name(aws: Aws) -> None:
    def check() -> list[Tried]:
        return list(AwsSource("prod", patience=patient()).check())

    def tried() -> dict[str, bool]:
        return {one.name: one.is_ok for one in check()}

    assert tried() == {
        "region": True,
        "cloudwatch:ListMetrics": True,
        "cloudwatch:GetMetricData": True,
        "rds:DescribeDBInstances": True,
    }
    refused = "GetMetricData"
    aws.refuse = lambda operation: (400, "AccessDenied", "no") if operation == refused else None
    found = {one.name: one for one in check()}
    assert not found["cloudwatch:GetMetricData"].is_ok
    assert "the right cloudwatch:GetMetricData" in found["cloudwatch:GetMetricData"].remedy
    refused = "ListMetrics"
    assert [one.is_ok for one in check()] == [True, False]
    refused = "DescribeDBInstances"
    last = check()[-1]
    assert (last.is_ok, last.is_needed) == (False, False)


def test_the_queries_are_known_without_being_sent(aws: Aws) -> None:
    reader = AwsReader(AwsClient(), "prod")
    told = reader.queries([Signal.CPU, Signal.NODE_CPU], Scope("shop", "web"), WINDOW)
    assert list(told) == ["container_cpu_utilization", "pod_cpu_utilization", "pod_cpu_usage_total"]
    assert "every 300 s" in told["pod_cpu_utilization"]
    assert aws.asked == []
    assert last_steps(1)[0] >= TIMES[-1]


def test_what_would_be_asked_of_a_database_is_named_without_asking(aws: Aws) -> None:
    told = source().flat_queries(Workload("shop", "web"), WINDOW, database="orders")
    assert told["FreeableMemory"] == "Minimum of AWS/RDS/FreeableMemory every 300 s {DBInstanceIdentifier=orders}"
    assert aws.asked == []
