"""Labels: what is written is read back; what is no label is an error with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.chaos.labels import COLUMNS, Label, labels_text, read_labels
from mora.errors import BadDataset

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
HEAD = ",".join(COLUMNS)
GOOD = "1,stuck,default,frontend,2026-11-01T12:00:00Z,2026-11-01T12:00:40Z,1,7"

labels = st.lists(
    st.builds(
        Label,
        id=st.from_regex(r"[0-9]{1,4}", fullmatch=True),
        fault=st.sampled_from(["stuck", "latency"]),
        namespace=st.just("default"),
        service=st.sampled_from(["frontend", "cartservice"]),
        start=st.integers(0, 10**6).map(lambda seconds: START + timedelta(seconds=seconds)),
        end=st.integers(10**6, 10**7).map(lambda seconds: START + timedelta(seconds=seconds)),
        strength=st.integers(1, 999).map(float),
        seed=st.integers(0, 10**6),
    ),
    max_size=6,
)


@given(labels)
def test_what_is_written_is_read_back_in_the_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, given_labels: list[Label]
) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    path.write_text(labels_text(given_labels))
    found = read_labels(path)
    assert sorted(found, key=repr) == sorted(given_labels, key=repr)
    assert [one.start for one in found] == sorted(one.start for one in given_labels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n", "columns must be id, fault"),
        (f"{HEAD}\n{GOOD.replace('Z', '', 1)}\n", "line 2: this is no label .*without its zone"),
        (f"{HEAD}\n{GOOD}\n{GOOD.replace('12:00:40', '11:00:00')}\n", "line 3: .*ends before it starts"),
        (f"{HEAD}\n{GOOD.replace('frontend', '../etc')}\n", "no name that Kubernetes allows"),
        (f"{HEAD}\n{GOOD.replace(',1,7', ',x,7')}\n", "line 2"),
        (f"{HEAD}\n1,stuck\n", "line 2"),
        (f"{HEAD}\n{GOOD.replace(',1,7', ',nan,7')}\n", "line 2.*no number"),
        (f"{HEAD}\n{GOOD.replace(',1,7', ',1e400,7')}\n", "line 2.*no number"),
        (HEAD + "\n" + GOOD.replace("stuck", "a\x1b[31m"), "line 2.*cannot be printed"),
    ],
)
def test_what_is_no_label_is_an_error_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(BadDataset, match=words):
        read_labels(path)


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BadDataset, match="cannot be read"):
        read_labels(tmp_path / "bytes.csv")
