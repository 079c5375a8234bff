"""mora ab, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.model.making import weighing
from tests.pipeline.test_challenging import collect, prepared
from tests.running import mora


def test_a_challenger_is_started_scored_and_takes_over(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    champion, challenger = weighing("naive").digest[:12], weighing("slots").digest[:12]
    assert mora("ab", "stop", "frontend", cwd=tmp_path).stdout.startswith(f"frontend: the champion {champion} stays;")
    said = mora("ab", "start", "frontend", cwd=tmp_path).stdout
    assert f"version {challenger} challenges the champion {champion}.\n  Windows from 2026-09-05 08:00 UTC on" in said
    collect(place, 4, 4.5)
    said = mora("ab", "status", cwd=tmp_path).stdout
    assert said.splitlines()[3].split()[:4] == ["cpu,", "1h", "ahead", "12"]
    assert "against it; 40 decides" in said
    assert "Not decided. The champion answers. The data ends at 2026-09-05 20:00 UTC." in said
    collect(place, 4.5, 7.5)
    said = mora("ab", "status", "--dry-run", cwd=tmp_path).stdout
    assert f"  {challenger} would take over: it forecasts better 1h ahead, and nowhere more than 5 % worse.\n" in said
    (found,) = json.loads(mora("ab", "status", "-o", "json", cwd=tmp_path).stdout)
    assert (found["outcome"], found["evidence_needed"]) == ("takeover", 40)
    said = mora("ab", "status", "frontend", cwd=tmp_path).stdout
    assert f"  {challenger} has taken over: " in said
    assert "To go back: mora models rollback frontend" in said
    assert mora("models", "rollback", "frontend", cwd=tmp_path).returncode == 0


def test_an_error_says_what_to_do(tmp_path: Path) -> None:
    done = mora("ab", "status", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Train one: mora train frontend --challenger" in done.stderr
    for arguments, said in (
        (("status", "frontend"), "Train one: mora train frontend"),
        (("status", "-o", "xml"), "There is: table, json."),
        (("start", "frontend", "--for", "soon"), "soon"),
        (("stop", "frontend"), "Train one: mora train frontend"),
    ):
        done = mora("ab", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
