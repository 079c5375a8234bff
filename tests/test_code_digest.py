"""The digest of code changes with what the code imports, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import code_digest
from mora.code_digest import code_of, code_within


def test_the_code_of_a_detector_is_its_module_and_what_that_imports() -> None:
    paths = {path.as_posix().partition("/mora/")[2] for path in code_digest._modules("mora.detectors.robust_z")}
    assert {"detectors/robust_z.py", "detectors/frames.py", "errors.py"} <= paths
    assert "detectors/quantile.py" not in paths
    assert "cli/front.py" not in paths


def test_what_is_loaded_by_name_is_named_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = code_of("forecasters", "naive")
    (tmp_path / "loaded_by_name.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    beside = code_of("forecasters", "naive", also=("loaded_by_name",))
    (tmp_path / "loaded_by_name.py").write_text("A = 2\n")
    code_of.cache_clear()
    changed = code_of("forecasters", "naive", also=("loaded_by_name",))
    assert len({alone, beside, changed}) == 3
    assert code_of("forecasters", "naive") == alone


def test_within_packages_only_their_modules_count() -> None:
    paths = {
        path.as_posix().partition("/mora/")[2]
        for path in code_digest._modules("mora.bounds.packing", ("mora.bounds", "mora.coverage"))
    }
    assert {"bounds/packing.py", "bounds/rules.py", "bounds/confidence.py", "coverage.py"} <= paths
    assert not paths & {"errors.py", "code_digest.py"}
    assert code_within("mora.bounds.packing", ("mora.bounds",)) != code_within("mora.bounds.packing", ("mora",))
