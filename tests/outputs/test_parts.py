"""One text a workload: as a stream and as files."""

from __future__ import annotations

import pytest

from mora.domain import Workload
from mora.errors import NotEnoughData
from mora.outputs.parts import SKIPPED, THIS_FILE, Parts, checked
from tests.outputs import examples

WEB, DB = Workload("shop", "web"), Workload("shop", "db", "StatefulSet")
PARTS = Parts({WEB: f"# apply {THIS_FILE}\nspec: {{}}\n"}, {DB: "12 samples"})


def test_a_stream_begins_with_what_is_skipped() -> None:
    assert PARTS.stream() == f"# StatefulSet shop/db: 12 samples\n# apply {THIS_FILE}\nspec: {{}}\n"


def test_each_file_knows_its_name_and_the_skipped_workloads_are_listed() -> None:
    files = PARTS.files(".patch.yaml")
    assert files["web.patch.yaml"].startswith("# apply web.patch.yaml\n")
    assert files[SKIPPED] == "StatefulSet shop/db: 12 samples\n"
    assert SKIPPED not in Parts(PARTS.texts, {}).files(".patch.yaml")


def test_without_any_text_there_is_an_error_with_the_reasons() -> None:
    assert checked(PARTS, "a patch", []) is PARTS
    with pytest.raises(NotEnoughData, match="A patch cannot be written for adservice: db: 12 samples"):
        checked(Parts({}, {DB: "12 samples"}), "a patch", [examples.unknown()])
