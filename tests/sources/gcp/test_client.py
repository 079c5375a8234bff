"""The real client against a Cloud Monitoring on loopback: pages, quotas, tokens, rights, incomplete answers, units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from mora.errors import BadInput, SourceUnavailable
from mora.sources.cloud.signals import Signal
from mora.sources.cloud.source import CloudSource
from mora.sources.gcp.client import MonitoringClient
from mora.sources.gcp.metrics import METRICS
from tests.sources.gcp.monitoring import Monitoring
from tests.sources.gcp.shop import FRONTEND, WINDOW, shop

QUOTA = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Time series queries'.")
CPU = METRICS[Signal.CPU]
FILTER = f'metric.type = "{CPU.metric}" AND resource.type = "k8s_container"'


def test_an_answer_in_many_pages_is_the_answer_in_one(source: CloudSource, monitoring: Monitoring) -> None:
    whole = source.observe(FRONTEND, WINDOW).metrics
    count = len(monitoring.requests)
    monitoring.page_points = 7
    assert source.observe(FRONTEND, WINDOW).metrics.equals(whole)
    assert len(monitoring.requests) > 5 * count


def test_a_quota_that_is_used_up_for_a_moment_is_waited_for(source: CloudSource, monitoring: Monitoring) -> None:
    whole = source.observe(FRONTEND, WINDOW).metrics
    monitoring.failures = [QUOTA, (grpc.StatusCode.UNAVAILABLE, "try again"), QUOTA]
    assert source.observe(FRONTEND, WINDOW).metrics.equals(whole)
    assert monitoring.failures == []


def test_a_quota_that_stays_used_up_is_an_error_that_says_what_to_raise(
    client: MonitoringClient, monitoring: Monitoring
) -> None:
    monitoring.failures = [QUOTA] * 9
    with pytest.raises(SourceUnavailable, match="after 4 tries: Quota exceeded") as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "raise the quota 'Time series queries'" in str(refused.value)


def test_a_token_that_expires_in_the_middle_is_renewed(source: CloudSource, monitoring: Monitoring) -> None:
    whole = source.observe(FRONTEND, WINDOW).metrics
    monitoring.page_points = 40
    used = monitoring.tokens
    monitoring.accepted = {f"token-{used + 1}"}  # what was given before is not accepted any more
    assert source.observe(FRONTEND, WINDOW).metrics.equals(whole)
    assert monitoring.tokens == used + 1


def test_credentials_that_are_refused_again_are_an_error_without_the_token(
    client: MonitoringClient, monitoring: Monitoring
) -> None:
    monitoring.accepted = {"another"}
    with pytest.raises(SourceUnavailable, match="does not accept the credentials") as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "gcloud auth application-default login" in str(refused.value)
    assert "token-" not in str(refused.value)
    assert "token-" not in repr(client)


def test_a_token_server_that_is_out_of_reach_says_nothing_against_the_credentials(
    client: MonitoringClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.sources.gcp.monitoring import service_account

    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, "http://127.0.0.1:9/token")))
    with pytest.raises(
        SourceUnavailable, match="The server that gives tokens for Google's credentials is not"
    ) as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "HTTPS_PROXY" in str(refused.value.hint)
    assert "expired" not in str(refused.value)


def test_a_token_server_that_refuses_is_a_matter_of_credentials(
    client: MonitoringClient, monitoring: Monitoring
) -> None:
    monitoring.gives_tokens = False
    with pytest.raises(SourceUnavailable, match="does not accept the credentials") as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "invalid_grant" in str(refused.value)
    assert "gcloud auth application-default login" in str(refused.value.hint)


def test_a_right_that_is_missing_is_named_with_the_role_that_has_it(
    client: MonitoringClient, monitoring: Monitoring
) -> None:
    monitoring.failures = [
        (grpc.StatusCode.PERMISSION_DENIED, "Permission monitoring.timeSeries.list denied (or it may not exist).")
    ]
    with pytest.raises(SourceUnavailable, match=r"the permission monitoring\.timeSeries\.list is missing") as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "add-iam-policy-binding shop-prod --member=PRINCIPAL --role=roles/monitoring.viewer" in str(refused.value)


def test_an_api_that_is_switched_off_is_no_missing_right(client: MonitoringClient, monitoring: Monitoring) -> None:
    said = (
        "Cloud Monitoring API has not been used in project 1 before or it is disabled. Enable it by visiting "
        "https://console.developers.google.com/apis/api/monitoring.googleapis.com/overview?project=1 then retry."
    )
    monitoring.failures = [(grpc.StatusCode.PERMISSION_DENIED, said)]
    with pytest.raises(SourceUnavailable, match="is switched off in its project") as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert "gcloud services enable monitoring.googleapis.com --project=shop-prod" in str(refused.value.hint)


def test_a_refusal_that_names_no_permission_is_of_the_least_that_is_needed(
    client: MonitoringClient, monitoring: Monitoring
) -> None:
    monitoring.failures = [(grpc.StatusCode.PERMISSION_DENIED, "Request is prohibited: see www.example.com.")]
    with pytest.raises(SourceUnavailable, match=r"the permission monitoring\.timeSeries\.list is missing"):
        list(client.series(CPU, FILTER, WINDOW))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.NOT_FOUND, "knows no such project"),
        (grpc.StatusCode.INVALID_ARGUMENT, "rejects the request"),
        (grpc.StatusCode.UNIMPLEMENTED, "does not answer"),
    ],
)
def test_what_no_try_would_help_is_final(
    client: MonitoringClient, monitoring: Monitoring, code: grpc.StatusCode, words: str
) -> None:
    monitoring.failures = [(code, "no\x1b[2J")] * 2
    with pytest.raises(SourceUnavailable, match=words) as refused:
        list(client.series(CPU, FILTER, WINDOW))
    assert len(monitoring.failures) == 1
    assert "\x1b" not in str(refused.value)


def test_an_answer_that_may_be_incomplete_is_a_warning(source: CloudSource, monitoring: Monitoring) -> None:
    monitoring.incomplete = "a shard did not answer"
    told = source.observe(FRONTEND, WINDOW).warnings
    assert told == ("Google Cloud Monitoring says that an answer may be incomplete: a shard did not answer",)


def test_a_unit_that_changed_is_read_in_both(source: CloudSource, monitoring: Monitoring) -> None:
    """A series in MiB from the second hour on, as after a change of the metric's descriptor."""
    half = WINDOW.start.timestamp() + 3600
    monitoring.stored = []
    for one in shop():
        if one.metric.endswith("used_bytes"):
            before = [point for point in one.points if point[0] <= half]
            after = [(at, value / 2**20) for at, value in one.points if at > half]
            monitoring.stored += [replace(one, points=before), replace(one, points=after, unit="MiBy", is_whole=False)]
        else:
            monitoring.stored.append(one)
    # The server reduces series of one group to one; here it answers them apart, as it does for different metrics.
    monitoring.keeps_units_apart = True
    seen = source.observe(FRONTEND, WINDOW)
    assert seen.metrics["mem_bytes_value"].tolist() == pytest.approx([120e6] * WINDOW.sample_count)
    assert any("The unit of memory changed within the window ('By', 'MiBy'" in one for one in seen.warnings)


def test_a_project_must_be_named_somewhere(
    monitoring: Monitoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.sources.gcp.monitoring import service_account

    path = service_account(tmp_path, monitoring.token_address, project="")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(BadInput, match="Which Google Cloud project"):
        MonitoringClient(endpoint=monitoring.address).project_name()


def test_without_credentials_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(SourceUnavailable, match="There are no Google credentials that can be used"):
        MonitoringClient().project_name()


def test_a_token_is_not_sent_over_a_line_that_all_can_read(monitoring: Monitoring) -> None:
    with pytest.raises(BadInput, match="for all to read"):
        list(MonitoringClient(endpoint="http://monitoring.example.com").series(CPU, FILTER, WINDOW))
