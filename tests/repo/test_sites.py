"""Addresses as people read them."""

from __future__ import annotations

from mora.repo.sites import Address


def test_an_address_is_written_as_its_keys_and_goes_on_in_a_text_within() -> None:
    outer = Address(0, ("data", "values.yaml"), Address(0, ("web",)))
    assert str(outer.below("containers", 0)) == "data.values.yaml > web.containers[0]"
    assert outer.below("a").inner == Address(0, ("web", "a"))
