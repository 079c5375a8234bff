"""mora models, as a user runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mora import pipeline
from mora.model import versions
from tests.model.making import version
from tests.running import mora


def trained(folder: Path, *numbers: int) -> None:
    for hour, number in enumerate(numbers):
        at = datetime(2026, 9, 6, tzinfo=UTC) + timedelta(hours=hour)
        versions.keep(pipeline.model_folder(folder / "models", "frontend"), version(number), at=at)


def test_the_versions_of_a_service_are_listed_shown_and_gone_back_to(tmp_path: Path) -> None:
    trained(tmp_path, 1, 2)
    old, new = version(1).digest, version(2).digest
    listed = mora("models", "list", cwd=tmp_path)
    assert listed.stdout.splitlines()[1].split() == ["frontend", new[:12], "2026-09-06", "01:00", "UTC", "2", "-"]
    shown = mora("models", "show", "frontend", cwd=tmp_path)
    table = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert table[1].startswith(f"{new[:12]} champion 2026-09-06 01:00 UTC 2026-09-05 07:55 1,154 ")
    assert table[2].startswith(f"{old[:12]} previous ")
    assert table[1].count("(naive ") == 2
    assert f"champion {new[:12]}: trained" in shown.stdout
    back = mora("models", "rollback", "frontend", cwd=tmp_path)
    assert back.stdout == f"frontend: version {old[:12]} is the champion again; it was {new[:12]}.\n"
    assert json.loads(mora("models", "list", "-o", "json", cwd=tmp_path).stdout)[0]["champion"] == old
    after = json.loads(mora("models", "show", "frontend", "-o", "json", cwd=tmp_path).stdout)
    assert after["champions"][-1]["why"] == f"rolled back from {new[:12]}"
    assert [one["role"] for one in after["versions"]] == ["previous", "champion"]


def test_one_version_is_shown_with_its_validation_errors(tmp_path: Path) -> None:
    trained(tmp_path, 1, 2)
    shown = mora("models", "show", "frontend", "--version", version(1).digest[:6], cwd=tmp_path).stdout
    assert version(2).digest[:12] not in shown
    assert "frontend: trained on 1,153 samples of 1 observed history\n" in shown
    assert "error on validation windows" in shown


def test_an_error_names_what_there_is_and_what_to_do(tmp_path: Path) -> None:
    assert "There is no model in models. Train one: mora train" in mora("models", "list", cwd=tmp_path).stderr
    for arguments, said in (
        (("show", "frontend"), "Train one: mora train frontend"),
        (("show", "../etc"), "service name"),
        (("rollback", "frontend"), "Train one: mora train frontend"),
        (("list", "-o", "xml"), "There is: table, json."),
    ):
        done = mora("models", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
    trained(tmp_path, 1)
    done = mora("models", "show", "frontend", "--version", "zz", cwd=tmp_path)
    assert (done.returncode, "No version of 'frontend' begins with 'zz'" in done.stderr) == (1, True)


def test_a_version_that_cannot_be_read_is_named_beside_those_that_can(tmp_path: Path) -> None:
    trained(tmp_path, 1, 2)
    (tmp_path / "models" / "frontend" / "versions" / version(1).digest[:12] / "card.json").write_text("{")
    done = mora("models", "show", "frontend", cwd=tmp_path)
    assert done.returncode == 0
    assert version(2).digest[:12] in done.stdout
    assert f"{version(1).digest[:12]}: models/frontend/versions/" in done.stderr
    (tmp_path / "models" / "frontend" / "versions.json").write_text("{")
    assert "frontend: models/frontend/versions.json cannot be read" in mora("models", "list", cwd=tmp_path).stderr
