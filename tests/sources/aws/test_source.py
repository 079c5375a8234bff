"""The source `aws` by its address, and the contract of sources through boto3."""

from __future__ import annotations

import pytest

from mora.domain import Workload
from mora.errors import BadInput
from mora.sources.aws.source import parse_address
from mora.testing.sources import SourceContract, SourceStage
from tests.sources.aws.conftest import WINDOW, source
from tests.sources.aws.rig import Aws


class TestContract(SourceContract):
    @pytest.fixture
    def stage(self, aws: Aws) -> SourceStage:
        return SourceStage(source(), Workload("shop", "web"), WINDOW)


@pytest.mark.parametrize(
    ("address", "region", "cluster"),
    [
        ("", None, None),
        ("prod", None, "prod"),
        ("eu-west-1", "eu-west-1", None),
        ("us-gov-west-1/prod", "us-gov-west-1", "prod"),
        ("prod/eks", None, "prod/eks"),
        ("my-shop-1", None, "my-shop-1"),
        ("eu-prod-1", None, "eu-prod-1"),
        ("ap-southeast-2/eu-prod-1", "ap-southeast-2", "eu-prod-1"),
        ("eusc-de-east-1", "eusc-de-east-1", None),
    ],
)
def test_an_address_is_a_region_a_cluster_or_both(address: str, region: str | None, cluster: str | None) -> None:
    assert parse_address(address) == (region, cluster)


@pytest.mark.parametrize("address", ["eu-west-1/", "-x", "a b", "x\n", "x" * 300])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="is not the address of a cluster on AWS"):
        parse_address(address)
