"""Files that were edited, torn or made by another hand: read, or refused with a MoraError that names the file."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.backtest.tables import Columns
from mora.backtest.traces import read_trace
from mora.config import load_settings
from mora.dataset import read_cards, read_samples
from mora.domain import Workload
from mora.errors import MoraError
from mora.harness.ledger import _latest
from mora.harness.plan import Plan
from mora.harness.restore import unrestored
from mora.metrics import ALL_COLUMNS, MOST
from mora.outputs import folder as out
from mora.pipeline.training import read_lesson
from mora.response import LoadResponse
from mora.sources.csvfile import CsvSource
from tests.dataset.making import make_frame, write
from tests.fuzz.budget import budget
from tests.fuzz.mutations import CHANGES, Changes, spoiled

CELLS = ("", "0", "-1", "1e308", "1e6", "1e12", "nan", "inf", "2026-01-01", "x", '"', "a,b", "1970-01-01T00:00:00Z",
         "9999-12-31T23:59:59Z", "2001-01-01T00:00:00Z", "\x00", "\ud7ff", "=1+1", "1" * 400)  # fmt: skip
CARD: dict[str, Any] = {
    "experiment_id": "a",
    "service": "frontend",
    "kind": "Deployment",
    "container": "server",
    "quality": {"is_complete": True, "is_steady": True, "flags": []},
    "load_test": {"latency_p95_seconds": 0.1, "error_ratio": 0.0},
    "resources": {"cpu_limit_millicores": 200, "memory_limit_bytes": 2**28},
    "startup": {"cpu_cores": 0.1, "mem_bytes": 1e7},
    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z", "step_seconds": 1.0},
    "standing_replicas": 2,
}
RUN: dict[str, Any] = {
    "schema_version": 1,
    "run_id": "quick-1",
    "plan": "quick",
    "digest": "0",
    "started": "2026-01-01T00:00:00Z",
    "original_replicas": {"web": 2},
}
POINT: dict[str, Any] = {
    "schema_version": 1,
    "run_id": "quick-1",
    "written": "2026-01-01T00:00:00Z",
    "place": {"server": "https://127.0.0.1", "words": "a cluster"},
    "targets": [
        {
            "workload": {"namespace": "shop", "name": "web", "kind": "Deployment"},
            "replicas": 2,
            "resources": {"server": {"cpu_request_millicores": 100}},
        }
    ],
    "restored": None,
}


def learn(data: Path) -> None:
    """What training begins with, and what a source of CSV files does."""
    lesson = read_lesson("frontend", data, "default", False)
    LoadResponse.fit(lesson.frame, lesson.cards)
    CsvSource(data).services("default")


@budget(40)
@given(
    row=st.integers(1, 12),
    column=st.sampled_from(ALL_COLUMNS),
    cell=st.sampled_from(CELLS),
    more=st.sampled_from(("", ",", "\n", "torn")),
)
def test_a_csv_with_another_cell(tmp_path: Path, row: int, column: str, cell: str, more: str) -> None:
    write_new(tmp_path, "a")
    path = tmp_path / "frontend" / "a.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[row % len(lines)][lines[0].index(column)] = cell
    path.write_text("\n".join(",".join(line) for line in lines) + "\n" + more, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(MoraError):
        for values in (read_samples("frontend", tmp_path).frame[name] for name in MOST):
            assert values.dropna().le(1e19).all()
        learn(tmp_path)


def write_new(data: Path, name: str, **card: Any) -> None:
    """One experiment, in place of what an earlier example left."""
    for left in (data / "frontend").glob(f"{name}.*"):
        left.unlink()
    write(data, make_frame(name, rows=12), **card)


@budget(40)
@given(changes=CHANGES)
def test_a_card_with_other_fields(tmp_path: Path, changes: Changes) -> None:
    write_new(tmp_path, "a")
    (tmp_path / "frontend" / "a.json").write_text(json.dumps(spoiled({"schema_version": 1, **CARD}, changes)))
    with contextlib.suppress(MoraError):
        read_cards("frontend", tmp_path)
        learn(tmp_path)


@budget(40)
@given(changes=CHANGES)
def test_a_ledger_and_a_restore_point_with_other_fields(tmp_path: Path, changes: Changes) -> None:
    runs = tmp_path / ".runs"
    (runs / "quick-1").mkdir(parents=True, exist_ok=True)
    (runs / "quick-1.json").write_text(json.dumps(spoiled(RUN, changes)))
    (runs / "quick-1" / "restore.json").write_text(json.dumps(spoiled(POINT, changes)))
    with contextlib.suppress(MoraError):
        _latest(tmp_path, "quick")
    with contextlib.suppress(MoraError):
        for point in unrestored(tmp_path):
            assert all(isinstance(original.workload, Workload) for original in point.targets)


@budget(40)
@given(changes=CHANGES)
def test_a_list_of_written_files_with_other_fields(tmp_path: Path, changes: Changes) -> None:
    listed = {"schema_version": 1, "files": {"web.yaml": {"output": "yaml", "sha256": "0"}}}
    (tmp_path / out.LISTED).write_text(json.dumps(spoiled(listed, changes)))
    with contextlib.suppress(MoraError):
        assert all(name == Path(name).name for name in out._read(tmp_path))


@budget(40)
@given(
    rows=st.lists(st.tuples(st.sampled_from(CELLS), st.sampled_from(CELLS)), min_size=0, max_size=8),
    header=st.sampled_from(("timestamp,value", "timestamp,cpu", "time,value", "", "timestamp", "a,a", '"')),
)
def test_a_trace_of_other_cells(tmp_path: Path, rows: list[tuple[str, str]], header: str) -> None:
    text = "\n".join((header, *(",".join(row) for row in rows)))
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    with contextlib.suppress(MoraError):
        read_trace(tmp_path / "trace.csv", columns=Columns())


TOML = (
    "horizon = {}", "jobs = {}", "[policy]\nname = {}", "[train]\nseed = {}", "{} = 1", "[prometheus]\nurl = {}",
    "scenarios = {}\nreplicas = [1]\nusers = [1]", "scenarios = ['browsing']\nreplicas = {}\nusers = [1]",
    "scenarios = ['browsing']\nreplicas = [1]\nusers = [1]\nrepeats = {}", "[[cells]]\nusers = {}",
)  # fmt: skip
ODD_TOML = ("1e999", "nan", "-1", "9" * 30, "''", "'x'", "[]", "[[]]", "{}", "true", "[" * 3000 + "]" * 3000,
            "'\\u0000'",            "2026-01-01", "'-n kube-system'", "[1, 1]", "'1e400d'")  # fmt: skip


@budget(60)
@given(text=st.sampled_from(TOML), value=st.sampled_from(ODD_TOML))
def test_settings_and_plans_with_other_values(tmp_path: Path, text: str, value: str) -> None:
    path = tmp_path / "mora.toml"
    path.write_text(text.replace("{}", value))
    with contextlib.suppress(MoraError):
        load_settings({}, {}, start_dir=tmp_path)
    with contextlib.suppress(MoraError):
        plan = Plan.load(path)
        assert len(plan.experiments()) <= 500_000


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00", b"\x00" * 100, b"{" * 10_000, b"\n" * 1000, b"," * 10_000])
def test_files_of_other_bytes(tmp_path: Path, name: str, raw: bytes) -> None:
    write_new(tmp_path, "a")
    (tmp_path / "frontend" / name).write_bytes(raw)
    with pytest.raises(MoraError, match=name.replace(".", r"\.")):
        learn(tmp_path)
