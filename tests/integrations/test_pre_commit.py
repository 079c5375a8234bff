"""The pre-commit hook: what its definition runs on the files of a commit, as pre-commit calls it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.cli.test_repo import FOUND
from tests.repo.conftest import committed
from tests.repo.test_check import BARE
from tests.repo.test_review import WEB
from tests.running import mora

ROOT = Path(__file__).parents[2]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def test_the_hook_is_what_pre_commit_takes() -> None:
    keys: dict[str, Any] = HOOK
    assert set(keys) == {"id", "name", "description", "entry", "language", "types", "require_serial"}
    assert keys["language"] == "python"  # pre-commit installs this repository, with its `mora`
    assert shlex.split(keys["entry"])[0] == "mora"


def test_a_commit_with_a_container_without_requests_is_stopped_and_others_pass(tmp_path: Path) -> None:
    files = {"apps/web.yaml": WEB, "apps/bare.yaml": BARE.replace("web", "bare"), "README.md": "Clusters\n"}
    top = committed(tmp_path / "clusters", files)
    _, *words = shlex.split(HOOK["entry"])
    stopped = mora(*words, "apps/bare.yaml", "apps/web.yaml", cwd=top)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (3, FOUND, "")
    passed = mora(*words, "apps/web.yaml", cwd=top)
    assert (passed.returncode, passed.stdout, passed.stderr) == (0, "", "")
