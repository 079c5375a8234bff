"""mora review at the door (a whole pull request with a real Prometheus: tests/integrations/test_action.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repo.conftest import committed
from tests.repo.test_review import WEB
from tests.running import mora


def test_nothing_is_asked_where_no_resources_differ(tmp_path: Path) -> None:
    top = committed(tmp_path / "repo", {"web.yaml": WEB})
    done = mora("review", "--base", "main", "--prometheus", "http://127.0.0.1:9", cwd=top)
    assert (done.returncode, done.stdout) == (0, "")
    assert "No resources differ from main." in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--base", "nope"), "Git knows no commit 'nope'"),
        (("--base", "main", "--repo", "nowhere"), "nowhere does not exist"),
        (("--base", "main", "--horizon", "soon"), "soon"),
    ],
)
def test_what_cannot_be_reviewed_is_an_error(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    top = committed(tmp_path / "repo", {"web.yaml": WEB})
    done = mora("review", *options, cwd=top)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
