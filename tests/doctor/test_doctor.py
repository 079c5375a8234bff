"""The doctor says what is here and what is missing, and one broken thing hides no other."""

from __future__ import annotations

from pathlib import Path

from mora.config import load_settings
from mora.doctor import Check, State, examine
from mora.settings import Settings


def found(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.name == name]


def test_an_empty_folder_lacks_data_and_models_and_nothing_else(empty: Settings) -> None:
    checks = examine(empty)
    assert {check.name for check in checks if check.state is not State.OK} <= {"data", "models", "limits", "disk"}
    assert found(checks, "data")[0].remedy.endswith("mora collect --plan quick")
    assert found(checks, "models")[0].remedy.endswith("mora train frontend")
    assert "no cluster is configured" in found(checks, "cluster")[0].words
    assert found(checks, "sandboxes") == [Check("sandboxes", State.OK, "none running")]


def test_a_url_where_no_prometheus_is_does_not_hide_the_rest(empty: Settings, tmp_path: Path) -> None:
    settings = load_settings({"prometheus_url": "http://127.0.0.1:9", "data_dir": empty.data_dir}, {}, tmp_path)
    checks = examine(settings)
    (check,) = found(checks, "metrics")
    assert (check.state, "cannot be reached" in check.words) == (State.MISSING, True)
    assert found(checks, "data")
