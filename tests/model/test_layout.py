"""Names in the folder of a service."""

from __future__ import annotations

from pathlib import Path

from mora.model.layout import has_model, service_of, version_folder


def test_a_service_called_versions_keeps_its_name() -> None:
    folder = Path("models/shop/versions")
    assert service_of(folder) == "versions"
    assert service_of(version_folder(folder, "1f3a5c20b7d4" + "0" * 52)) == "versions"


def test_a_folder_has_a_model_in_either_layout(tmp_path: Path) -> None:
    assert not has_model(tmp_path)
    for name in ("card.json", "versions.json"):
        (tmp_path / name).touch()
        assert has_model(tmp_path)
        (tmp_path / name).unlink()
