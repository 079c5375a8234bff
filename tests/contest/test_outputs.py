"""Every output of `mora compare` renders the same contest."""

from __future__ import annotations

import pytest

from mora.contest.outputs import RENDERERS
from tests.contest.compared import compared


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_every_output_names_every_model(name: str) -> None:
    text = RENDERERS[name](compared()[0])
    for model in ("naive", "half", "failing"):
        assert model in text
    assert text.endswith("\n")
