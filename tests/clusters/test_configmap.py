"""What of some texts fits into a ConfigMap: plain, compressed, or not at all."""

from __future__ import annotations

import base64
import gzip
import random

import pytest

from mora.clusters.configmap import content_of
from mora.errors import BadInput


def test_a_text_that_fits_is_stored_as_it_is() -> None:
    assert content_of({"a.json": "{}", "b.csv": "x"}) == {"data": {"a.json": "{}", "b.csv": "x"}, "binaryData": {}}


def test_only_the_largest_text_is_compressed_where_that_is_enough() -> None:
    content = content_of({"large.json": "a" * 1_200_000, "small.json": "{}"})
    assert content["data"] == {"small.json": "{}"}
    assert gzip.decompress(base64.b64decode(content["binaryData"]["large.json.gz"])) == b"a" * 1_200_000


def test_the_same_text_gives_the_same_bytes() -> None:
    assert content_of({"a": "a" * 1_200_000}) == content_of({"a": "a" * 1_200_000})


def test_a_text_that_is_too_large_even_when_compressed_is_refused_with_what_to_do() -> None:
    noise = random.Random(1).randbytes(1_500_000).hex()
    with pytest.raises(BadInput, match="at most 1,000,000") as refused:
        content_of({"noise.json": noise})
    assert "fewer workloads" in str(refused.value.hint)


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b"])
def test_a_name_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="key of a ConfigMap"):
        content_of({name: "{}"})
