"""Known faults come from a CSV of labels: those of the service, with their names; what is none names its line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.errors import BadDataset
from mora.health.known import Known, read_known

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def read(folder: Path, text: str) -> list[Known]:
    (folder / "labels.csv").write_bytes(text.encode("latin-1"))
    return read_known(folder / "labels.csv", namespace="shop", service="web")


def test_the_labels_of_the_service_are_taken_in_the_order_of_time(tmp_path: Path) -> None:
    text = (
        "id,fault,namespace,service,start,end,strength,seed\n"
        "b,errors,shop,web,2026-03-02T12:00:00+01:00,2026-03-02T12:05:00+01:00,1,0\n"
        "a,latency,shop,web,2026-03-02T10:00:00Z,2026-03-02T10:01:00Z,1,0\n"
        "c,latency,shop,cart,2026-03-02T10:00:00Z,2026-03-02T10:01:00Z,1,0\n"
        "d,latency,other,web,2026-03-02T10:00:00Z,2026-03-02T10:01:00Z,1,0\n"
    )
    assert read(tmp_path, text) == [
        Known(AT, AT.replace(minute=1), "latency"),
        Known(AT.replace(hour=11), AT.replace(hour=11, minute=5), "errors"),
    ]


def test_a_hand_made_file_needs_start_and_end_alone(tmp_path: Path) -> None:
    assert read(tmp_path, "start,end\n2026-03-02T10:00,2026-03-02T10:01\n") == [Known(AT, AT.replace(minute=1))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: missing columns start, end"),
        ("start\n", "line 1: missing column end"),
        ("start,end\nsoon,late\n", "line 2: start is 'soon', not a time"),
        ("start,end\n2026-03-02T10:00Z\n", "line 2: end is '', not a time"),
        ("start,end\n2026-03-02T10:00Z,2026-03-02T09:00Z\n", "line 2: it ends before it starts"),
        ("\xff", "not UTF-8"),
    ],
)
def test_what_is_no_label_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadDataset, match=words):
        read(tmp_path, text)
    with pytest.raises(BadDataset, match="cannot be read"):
        read_known(tmp_path / "nothing.csv", namespace="shop", service="web")
