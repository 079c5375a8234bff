"""Splitting an anchor changes what one user says, and nothing that any other means."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.repo.addresses import Refusal, Shared
from mora.repo.anchors import unshare
from mora.repo.checkout import Checkout
from mora.repo.edits import set_value
from mora.repo.manifests import sites
from mora.repo.sites import Address, Wanted, WriteOptions
from mora.repo.writing import write_resources
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment

BLOCK = (
    "a:\n  r: &r  # shared\n    requests:\n      cpu: 1  # busy\n    limits: {cpu: 2}\nb:\n  r: *r  # b's\nc: {r: *r}\n"
)


OF_B = "  r:  # b's\n    requests:\n      cpu: 9  # busy\n    limits: {cpu: 2}\n"
FLOW = "a: {r: &r {requests: {cpu: 1}}}\nb: {r: *r}\n"
MERGE = "d: &d\n  r:\n    requests: {cpu: 1}\na:\n  <<: *d\n  z: 1\n"
VALUE = "a: {r: {requests: {cpu: &c 1}}}\nb: {r: {requests: {cpu: *c}}}\n"


@pytest.mark.parametrize(
    ("text", "user", "wanted"),
    [
        (BLOCK, "b", BLOCK.replace("  r: *r  # b's\n", OF_B)),
        (BLOCK, "c", BLOCK.replace("{r: *r}", '{r: {"requests": {"cpu": 9}, "limits": {"cpu": 2}}}')),
        (FLOW, "a", 'a: {r: {requests: {cpu: 9}}}\nb: {r: &r {"requests": {"cpu": 1}}}\n'),
        (MERGE, "a", MERGE + "  r:\n    requests: {cpu: 9}\n"),
        (VALUE, "b", VALUE.replace("*c", "9")),
    ],
)
def test_one_user_changes_and_the_others_keep_what_they_have(text: str, user: str, wanted: str) -> None:
    address = Address(0, (user, "r", "requests", "cpu"))
    with pytest.raises(Shared):
        set_value(text, address, "9")
    assert set_value(unshare(text, address), address, "9") == wanted


def test_the_first_alias_takes_over_the_anchor_of_the_one_that_changes() -> None:
    address = Address(0, ("a", "r", "requests", "cpu"))
    changed = set_value(unshare(BLOCK, address), address, "9")
    assert changed.startswith(
        "a:\n  r:  # shared\n    requests:\n      cpu: 9  # busy\n    limits: {cpu: 2}\nb:\n  r: &r  # b's\n"
    )
    assert changed.endswith("    requests:\n      cpu: 1  # busy\n    limits: {cpu: 2}\nc: {r: *r}\n")


def test_an_anchor_that_is_kept_for_one_user_is_changed_in_its_place() -> None:
    text = "x-small: &s {requests: {cpu: 1}}\na: {r: *s}\n"
    address = Address(0, ("a", "r", "requests", "cpu"))
    assert set_value(text, address, "9") == text.replace("1", "9")
    with pytest.raises(Shared):
        set_value(text + "b: *s\n", address, "9")


def test_a_manifest_is_split_only_where_that_is_allowed(make_repo: MakeRepo) -> None:
    text = deployment(resources="&r {requests: {cpu: 500m}}").replace(
        "          # the end\n", "        - name: proxy\n          resources: *r\n"
    )
    checkout = Checkout(make_repo({"a.yaml": text}))
    server, proxy = sites(checkout)
    wanted = Wanted({("requests", "cpu"): "250m"})
    for site in (server, proxy):
        with pytest.raises(Shared, match="--split-anchors"):
            write_resources(checkout, {}, site, wanted, WriteOptions())
    changed = write_resources(checkout, {}, proxy, wanted, WriteOptions(split_anchors=True))["a.yaml"]
    containers = yaml.safe_load(changed)["spec"]["template"]["spec"]["containers"]
    assert [one["resources"]["requests"]["cpu"] for one in containers] == ["500m", "250m"]


_leaf = st.sampled_from(["1", "'x'", "{cpu: 1}", "[1, 2]"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    leaf=_leaf,
    users=st.integers(1, 3),
    chosen=st.integers(0, 3),
    style=st.sampled_from(["block", "flow", "list", "merge"]),
)
def test_a_split_never_changes_what_a_document_means(leaf: str, users: int, chosen: int, style: str) -> None:
    others = range(1, users + 1)
    if style == "flow":
        text = f"u0: {{k: &s {leaf}}}\n" + "".join(f"u{n}: {{k: *s}}\n" for n in others)
    elif style == "block":
        text = f"u0:\n  k: &s\n    deep: {leaf}\n" + "".join(f"u{n}:\n  k: *s\n" for n in others)
    else:
        user = "- *s\n- z\n" if style == "list" else "  <<: *s\n  z: 1\n"
        text = f"u0: &s\n  k:\n    deep: {leaf}\n" + "".join(f"u{n}:\n{user}" for n in others)
    number = min(chosen, users)
    path = (f"u{number}", 0, "k") if style == "list" and number else (f"u{number}", "k")
    try:
        changed = unshare(text, Address(0, path))
    except Refusal:
        raise AssertionError(text) from None
    assert yaml.safe_load(changed) == yaml.safe_load(text)
