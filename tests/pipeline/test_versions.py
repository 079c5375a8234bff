"""What is told of the versions of a service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mora import pipeline
from mora.model import versions
from mora.pipeline.versions import errors_of, list_versions, show_versions
from tests.model.making import version

AT = datetime(2026, 9, 6, tzinfo=UTC)


def test_a_version_tells_its_role_and_its_error_beside_the_naive_one(tmp_path: Path) -> None:
    folder = pipeline.model_folder(tmp_path, "frontend")
    versions.keep(folder, version(1), at=AT)
    versions.keep(folder, version(2), at=AT, as_challenger=True)
    known, facts = show_versions("frontend", models_dir=tmp_path)
    roles = {fact.digest: fact.role for fact in facts}
    assert roles == {version(1).digest: "champion", version(2).digest: "challenger"}
    assert known.champion == version(1).digest
    assert facts[0].to_dict()["errors"]["cpu"]["naive"] > 0
    assert errors_of(version(1).card).keys() == {"cpu", "memory"}


def test_models_of_an_older_mora_are_listed_without_versions(tmp_path: Path) -> None:
    version(1).save(tmp_path / "cart")
    versions.keep(tmp_path / "frontend", version(2), at=AT)
    assert [(one.service, one.versions is None) for one in list_versions(tmp_path)] == [
        ("cart", True),
        ("frontend", False),
    ]
