"""Numbers at a site: only its resources change, and what says the same already stays as it is written."""

from __future__ import annotations

import pytest

from mora.repo.addresses import Refusal
from mora.repo.checkout import Checkout
from mora.repo.manifests import sites
from mora.repo.sites import Address, Field, Wanted, WriteOptions
from mora.repo.writing import check_rest, write_resources
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment

BOTH: dict[Field, str | None] = {("requests", "cpu"): "250m", ("limits", "cpu"): None}


def test_requests_are_set_and_limits_removed_and_every_other_byte_stays(make_repo: MakeRepo) -> None:
    checkout = Checkout(make_repo({"a.yaml": deployment(resources="{requests: {cpu: '1'}, limits: {cpu: 2}} # why")}))
    (site,) = sites(checkout)
    changed = write_resources(checkout, {}, site, Wanted(BOTH, replicas=3), WriteOptions())
    wanted = deployment(resources="{requests: {cpu: '250m'}} # why").replace("replicas: 2", "replicas: 3")
    assert changed == {"a.yaml": wanted}


def test_the_same_amount_in_other_letters_is_no_change(make_repo: MakeRepo) -> None:
    checkout = Checkout(make_repo({"a.yaml": deployment(resources="{requests: {cpu: 0.25, memory: 1024Mi}}")}))
    (site,) = sites(checkout)
    same: dict[Field, str | None] = {**BOTH, ("requests", "memory"): "1Gi"}
    assert write_resources(checkout, {}, site, Wanted(same, replicas=2), WriteOptions()) == {}


def test_a_change_that_touches_more_is_refused() -> None:
    address = Address(0, ("a", "resources", "requests", "cpu"))
    check_rest("a: {b: 1}\n", "a: {b: 1, resources: {requests: {cpu: 1}}}\n", [address])
    for other in ("a: {b: 2}\n", "a: {b: 1}\n---\nc: 1\n", "a: {b: 1, resources: {requests: {memory: 1}}}\n"):
        with pytest.raises(Refusal, match="touch more"):
            check_rest("a: {b: 1}\n", other, [address])
