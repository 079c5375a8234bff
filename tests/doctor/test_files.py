"""Data and models that cannot be read are named."""

from __future__ import annotations

from mora.doctor import State, examine
from mora.settings import Settings
from tests.doctor.test_doctor import found


def test_a_torn_data_file_is_named(empty: Settings) -> None:
    folder = empty.data_dir / "frontend"
    folder.mkdir(parents=True)
    (folder / "frontend_browsing_replicas_1_users_5.csv").write_text("experiment_id,service\n")
    (folder / "frontend_browsing_replicas_1_users_5.json").write_text("{}")
    (check,) = found(examine(empty), "data")
    assert check.state is State.MISSING
    assert "frontend_browsing_replicas_1_users_5" in check.words


def test_a_half_written_model_is_named(empty: Settings) -> None:
    folder = empty.models_dir / "frontend"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    (check,) = found(examine(empty), "models")
    assert check.state is State.MISSING
