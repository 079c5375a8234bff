"""The client: pages, throttling, expired and missing credentials, missing rights; nothing secret is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mora.errors import BadInput, SourceUnavailable
from mora.sources.aws.client import AwsClient
from tests.sources.aws.conftest import patient
from tests.sources.aws.rig import Aws, Refusal

THROTTLED: Refusal = (400, "ThrottlingException", "Rate exceeded")


def refusing(*refusals: Refusal | None) -> Iterator[Refusal | None]:
    yield from refusals
    while True:
        yield None


def ask(client: AwsClient) -> int:
    return len(client.ask("cloudwatch", "list_metrics", Namespace="ContainerInsights")["Metrics"])


def test_a_throttled_request_is_sent_again(aws: Aws, client: AwsClient) -> None:
    answers = refusing(THROTTLED, (503, "ServiceUnavailable", "one moment"))
    aws.refuse = lambda operation: next(answers)
    assert ask(client) > 0
    assert aws.calls("ListMetrics") == 3


def test_what_stays_throttled_is_an_error_that_says_what_helps(aws: Aws, client: AwsClient) -> None:
    aws.refuse = lambda operation: THROTTLED
    with pytest.raises(SourceUnavailable, match="limits the rate of requests") as refused:
        ask(client)
    assert "in a minute" in str(refused.value.hint)
    assert aws.calls("ListMetrics") == 3


def test_credentials_that_expire_are_read_again_once(aws: Aws, client: AwsClient) -> None:
    answers = refusing((400, "ExpiredTokenException", "The security token included in the request is expired"))
    aws.refuse = lambda operation: next(answers)
    assert ask(client) > 0
    aws.refuse = lambda operation: (400, "ExpiredTokenException", "The security token is expired")
    with pytest.raises(SourceUnavailable, match=r"^The AWS credentials have expired\.") as refused:
        ask(client)
    assert "aws sso login" in str(refused.value.hint)


def test_a_missing_right_is_named(aws: Aws, client: AwsClient) -> None:
    aws.refuse = lambda operation: (
        400,
        "AccessDeniedException",
        "User: arn:aws:iam::1:user/x is not authorized\n\x1b[31m" + "a" * 900,
    )
    with pytest.raises(SourceUnavailable, match="does not allow cloudwatch:ListMetrics") as refused:
        ask(client)
    assert "the right cloudwatch:ListMetrics" in str(refused.value.hint)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_key_that_aws_does_not_know_is_refused_and_not_shown(aws: Aws, client: AwsClient) -> None:
    aws.refuse = lambda operation: (403, "InvalidClientTokenId", "The security token AKIAMADEUP is invalid")
    with pytest.raises(SourceUnavailable, match="does not accept these credentials") as refused:
        ask(client)
    assert "AKIAMADEUP" not in str(refused.value)
    assert aws.calls("ListMetrics") == 1


def test_without_credentials_it_says_where_they_are_looked_for(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceUnavailable, match=r"^There are no AWS credentials\.") as refused:
        ask(AwsClient(patience=patient()))
    assert "AWS_PROFILE" in str(refused.value.hint)


def test_a_profile_that_is_not_there_is_named(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nonesuch")
    with pytest.raises(BadInput, match="nonesuch"):
        ask(AwsClient(patience=patient()))


def test_without_a_region_it_asks_for_one(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(BadInput, match="Which AWS region") as refused:
        ask(AwsClient(patience=patient()))
    assert "aws:eu-west-1/CLUSTER" in str(refused.value.hint)
    assert AwsClient("us-east-2", patience=patient()).region == "us-east-2"


def test_a_server_that_is_not_there_is_an_error_at_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match="is not reached") as refused:
        ask(AwsClient(patience=patient()))
    assert "AWS_REGION" in str(refused.value.hint)


def test_a_session_s_token_is_not_sent_over_a_line_that_all_can_read(aws: Aws) -> None:
    with pytest.raises(BadInput, match="for all to read"):
        AwsClient(endpoint="http://monitoring.example.com")
    assert AwsClient(endpoint=aws.url, patience=patient()).region == "eu-west-1"
