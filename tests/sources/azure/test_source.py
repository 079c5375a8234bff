"""Resource ids become part of addresses: only what is one passes."""

from __future__ import annotations

import pytest

from mora.errors import BadInput
from mora.sources.azure.source import check_resource
from tests.sources.azure.monitor import CLUSTER


def test_a_resource_id_passes_without_a_slash_at_its_end() -> None:
    assert check_resource(CLUSTER + "/") == CLUSTER


@pytest.mark.parametrize(
    "text", ["prod", "/subscriptions/x", CLUSTER + "/../x", CLUSTER + "?a=b", "/a" * 8, CLUSTER + "/more"]
)
def test_what_is_no_resource_id_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not the id of a resource on Azure"):
        check_resource(text)
