"""A number that an operation of a JSON patch sets is set there, and a limit of it is never dropped without leave."""

from __future__ import annotations

import pytest

from mora.repo.addresses import Refusal
from mora.repo.checkout import Checkout
from mora.repo.overlays import sites
from mora.repo.sites import Wanted, WriteOptions
from tests.repo.conftest import MakeRepo
from tests.repo.test_overlays import CONTAINER, two_overlays


def test_a_limit_that_an_operation_adds_is_refused_with_what_to_do(make_repo: MakeRepo) -> None:
    operation = f'[{{"op": "add", "path": "{CONTAINER}/limits/cpu", "value": "3"}}]'
    more = f"patches:\n- target: {{kind: Deployment, name: web}}\n  patch: '{operation}'\n"
    checkout = Checkout(make_repo(two_overlays(more)))
    (site,) = (one for one in sites(checkout) if one.claim.namespace == "shop")
    assert site.written["limits", "cpu"] == "3"
    assert site.writer is not None
    with pytest.raises(Refusal, match="take that out by hand"):
        site.writer(checkout, {}, site, Wanted({("limits", "cpu"): None}), WriteOptions())
    changed = site.writer(checkout, {}, site, Wanted({("limits", "cpu"): "2"}), WriteOptions())
    assert '"value": "2"' in changed["production/kustomization.yaml"]
