"""What a kubelet and a Prometheus read of the recommender, over real HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mora.serving.health import health_handlers
from mora.serving.http import Endpoints
from mora.vpa.loop import PassReport
from mora.vpa.telemetry import Telemetry


class Instance:
    """A Telemetry with its clock and its leadership set by the test."""

    def __init__(self) -> None:
        self.seconds, self.leads, self.answers, self.votes = 50.0, True, True, True
        self.telemetry = Telemetry(
            leads=lambda: self.leads,
            answers=lambda: self.answers,
            votes=lambda: self.votes,
            steady=lambda: self.seconds,
        )


@pytest.fixture
def instance() -> Instance:
    return Instance()


@pytest.fixture
def url(instance: Instance) -> Iterator[str]:
    with Endpoints(("127.0.0.1", 0), health_handlers(instance.telemetry)) as endpoints:
        yield f"http://127.0.0.1:{endpoints.port}"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(url: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(get(url + "/metrics")[1])
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_a_loop_that_moves_is_healthy_and_one_that_hangs_is_not(instance: Instance, url: str) -> None:
    assert get(url + "/healthz") == (200, "ok\n")
    instance.seconds += 901
    assert get(url + "/healthz") == (503, "the loop has not moved for 15m\n")
    instance.telemetry.beat()
    assert get(url + "/healthz")[0] == 200


def test_a_leader_election_that_a_bug_has_ended_is_not_healthy(instance: Instance, url: str) -> None:
    instance.votes = False
    assert get(url + "/healthz") == (503, "the leader election has ended\n")


def test_a_leader_is_ready_after_a_pass_without_errors(instance: Instance, url: str) -> None:
    assert get(url + "/readyz") == (503, "the first pass has not ended\n")
    instance.telemetry.passed(PassReport(vpas=2, with_number=2))
    assert get(url + "/readyz") == (200, "ok\n")
    instance.telemetry.passed(PassReport(errors=Counter(write=2)))
    assert get(url + "/readyz") == (503, "the last pass failed: write 2\n")


def test_a_follower_is_ready_while_it_can_read_the_lease(instance: Instance, url: str) -> None:
    instance.leads = False
    assert get(url + "/readyz")[0] == 200
    instance.answers = False
    assert get(url + "/readyz") == (503, "the lease cannot be read\n")


def test_metrics_count_passes_and_give_the_age_of_the_last(instance: Instance, url: str) -> None:
    assert samples(url)["mora_recommender_last_pass_age_seconds"] == float("inf")
    instance.telemetry.passed(PassReport(seconds=1.5, vpas=3, with_number=2, written=2, errors=Counter(write=1)))
    instance.telemetry.passed(PassReport(seconds=0.5, vpas=3, with_number=2))
    instance.seconds += 7
    found = samples(url)
    assert found["mora_recommender_passes_total{ok}"] == found["mora_recommender_passes_total{failed}"] == 1
    assert found["mora_recommender_pass_seconds_sum"] == 2.0
    assert found["mora_recommender_errors_total{write}"] == 1
    assert found["mora_recommender_status_writes_total"] == 2
    assert (found["mora_recommender_vpas{true}"], found["mora_recommender_vpas{false}"]) == (2, 1)
    assert found["mora_recommender_last_pass_age_seconds"] == 7
    assert found["mora_recommender_is_leader"] == 1


def test_a_follower_counts_no_objects_so_that_a_sum_over_instances_is_right(instance: Instance, url: str) -> None:
    instance.telemetry.passed(PassReport(vpas=3, with_number=2))
    instance.leads = False
    found = samples(url)
    assert (found["mora_recommender_vpas{true}"], found["mora_recommender_vpas{false}"]) == (0, 0)
    assert found["mora_recommender_is_leader"] == 0
