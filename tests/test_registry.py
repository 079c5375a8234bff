"""Every name that is registered leads to something, and a name that is not is refused with those that are."""

from __future__ import annotations

import pytest

from mora import registry
from mora.errors import BadInput

ENTRIES = [(seam, name) for seam in registry.REGISTRY for name in registry.names(seam)]


@pytest.mark.parametrize(("seam", "name"), ENTRIES)
def test_every_registered_name_leads_to_something_that_can_be_called(seam: str, name: str) -> None:
    assert callable(registry.load(seam, name))


@pytest.mark.parametrize("seam", registry.REGISTRY)
def test_an_unknown_name_is_refused_with_the_known_ones(seam: str) -> None:
    with pytest.raises(BadInput) as refused:
        registry.load(seam, "nonesuch")
    assert all(name in str(refused.value) for name in registry.names(seam))


def test_outputs_come_in_the_order_that_the_help_shows() -> None:
    assert registry.names("outputs") == [
        *("table", "json", "csv", "yaml", "patch", "kustomize", "helm-values", "vpa", "hpa", "commands", "resize"),
        *("pr-body", "explain"),
    ]
