"""A model made by another hand, with valid checksums: loaded and asked, it gives possible numbers or a BadModel."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Question, TargetDemand
from mora.errors import BadModel, MoraError
from mora.model import ServiceModel
from mora.model import folder as store
from mora.model.freshness import check_fresh, measured_allocation
from mora.outputs.provenance import model_facts
from mora.outputs.training import render
from tests import fakes_learning as fakes
from tests.fuzz.budget import budget
from tests.fuzz.mutations import ARRAY_CHANGES, CHANGES, Changes, spoiled, spoiled_arrays

OLD = Path(__file__).parents[1] / "model" / "schema_1"
KINDS = ("driven", "observed")


@cache
def rows(kind: str) -> pd.DataFrame:
    if kind == "observed":
        return fakes.observed(days=4)
    return fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), repeats=1)[0]


@cache
def contents(kind: str) -> store.Contents:
    """A small model in the current schema."""
    old = store.read(OLD / kind)
    card = {key: value for key, value in old.card.items() if key not in ("files", "schema_version")}
    return store.seal(card, old.documents, old.arrays)


def forged(folder: Path, card: dict[str, Any], files: dict[str, bytes]) -> Path:
    """A folder of these files whose checksums are right."""
    sums = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    full = {"schema_version": store.SCHEMA_VERSION, **card, "files": sums}
    text = json.dumps(full, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    full["digest"] = hashlib.sha256(text).hexdigest()
    folder.mkdir(exist_ok=True)
    for name, data in {**files, store.CARD: json.dumps(full).encode()}.items():
        (folder / name).write_bytes(data)
    return folder


def ask(folder: Path, kind: str) -> None:
    """All that MOrA does with a model; every number is a possible one."""
    model = ServiceModel.load(folder)
    for question in (Question(), Question(users=15) if model.is_driven else Question()):
        demand = model.demand(rows(kind), question, current_replicas=2)
        for target in (demand.cpu, demand.memory, demand.replicas):
            assert target is None or is_possible(target)
    measured_allocation(model)
    check_fresh(model, None, now=datetime(2026, 11, 26, tzinfo=UTC), stale_ok=True)
    json.dumps(model_facts(model.card))
    render("frontend", model.card, seconds=1.0).encode()


def is_possible(target: TargetDemand) -> bool:
    figures = (target.point_forecast, target.bound, target.peak, target.confidence)
    return all(math.isfinite(figure) and figure >= 0 for figure in figures) and target.confidence <= 1


def own_card(kind: str) -> dict[str, Any]:
    return {k: v for k, v in contents(kind).card.items() if k not in ("files", "schema_version", "digest")}


def own_files(kind: str) -> dict[str, bytes]:
    return {name: data for name, data in contents(kind).files.items() if name != store.CARD}


@pytest.mark.parametrize("kind", KINDS)
def test_an_unspoiled_copy_answers(tmp_path: Path, kind: str) -> None:
    ask(forged(tmp_path / "frontend", own_card(kind), own_files(kind)), kind)


@budget(40)
@pytest.mark.parametrize("kind", KINDS)
@given(changes=CHANGES)
def test_a_card_with_other_fields(tmp_path: Path, kind: str, changes: Changes) -> None:
    folder = forged(tmp_path / "frontend", spoiled(own_card(kind), changes), own_files(kind))
    with contextlib.suppress(MoraError):
        ask(folder, kind)


@budget(40)
@pytest.mark.parametrize("name", ["driven/prophet.json", "driven/response.json", "observed/prophet.json"])
@given(changes=CHANGES)
def test_documents_with_other_fields(tmp_path: Path, name: str, changes: Changes) -> None:
    kind, _, file = name.partition("/")
    document = spoiled(contents(kind).documents[file], changes)
    folder = forged(tmp_path / "frontend", own_card(kind), own_files(kind) | {file: json.dumps(document).encode()})
    with contextlib.suppress(MoraError):
        ask(folder, kind)


@budget(40)
@pytest.mark.parametrize("kind", KINDS)
@given(change=ARRAY_CHANGES)
def test_arrays_of_other_shapes_and_numbers(tmp_path: Path, kind: str, change: tuple[int, str, float]) -> None:
    name, arrays = next(iter(contents(kind).arrays.items()))
    stream = io.BytesIO()
    np.savez(stream, **spoiled_arrays(arrays, change))  # type: ignore[arg-type]  # its names are no options
    folder = forged(tmp_path / "frontend", own_card(kind), own_files(kind) | {name: stream.getvalue()})
    with contextlib.suppress(MoraError):
        ask(folder, kind)


@budget(40)
@given(where=st.integers(0, 10**6), how=st.integers(0, 3), which=st.integers(0, 2))
def test_files_of_other_bytes(tmp_path: Path, where: int, how: int, which: int) -> None:
    name = sorted(own_files("driven"))[which]
    raw = own_files("driven")[name]
    cut = where % (len(raw) + 1)
    other = (raw[:cut], raw[:cut] + b"\xff" + raw[cut + 1 :], b"", b"[" * 100_000)[how]
    folder = forged(tmp_path / "frontend", own_card("driven"), own_files("driven") | {name: other})
    with contextlib.suppress(MoraError):
        ask(folder, "driven")


def test_an_archive_that_promises_gigabytes_is_refused_before_they_are_made(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
        archive.writestr("weights.npy", header.getvalue())
    folder = forged(tmp_path / "frontend", own_card("driven"), own_files("driven") | {"lstm.npz": stream.getvalue()})
    with pytest.raises(BadModel, match=r"lstm\.npz cannot be read: 'weights.npy' is not an array"):
        ServiceModel.load(folder)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("weights.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    folder = forged(tmp_path / "frontend", own_card("driven"), own_files("driven") | {"lstm.npz": stream.getvalue()})
    with pytest.raises(BadModel, match="larger than any model's"):
        ServiceModel.load(folder)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_no_training_packed_is_refused(tmp_path: Path, packing: int) -> None:
    """A torn one of such a packing raises what its own library raises, which nobody expects."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("weights.npy", bytes(range(256)) * 20)
    raw = bytearray(stream.getvalue())
    raw[50:60] = bytes(10)
    folder = forged(tmp_path / "frontend", own_card("driven"), own_files("driven") | {"lstm.npz": bytes(raw)})
    with pytest.raises(BadModel, match=r"lstm\.npz cannot be read: 'weights.npy' is packed in a way that no model is"):
        ServiceModel.load(folder)


@pytest.mark.parametrize("fault", [AttributeError, NotImplementedError, OSError, RuntimeError])
def test_a_fault_of_mora_is_no_model_to_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    model = ServiceModel.load(forged(tmp_path / "frontend", own_card("driven"), own_files("driven")))

    def broken(*_: object) -> None:
        raise fault("a fault")

    monkeypatch.setattr(ServiceModel, "_demand", broken)
    with pytest.raises(fault, match="a fault"):
        model.demand(rows("driven"), Question())
