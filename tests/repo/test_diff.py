"""The diff is one that `git apply` takes, whatever the file's name, line ends and last line are."""

from __future__ import annotations

import subprocess

import pytest

from mora.repo.checkout import Checkout
from mora.repo.diff import unified
from tests.repo.conftest import MakeRepo


@pytest.mark.parametrize("path", ["a.yaml", "a b/c.yaml", 'é/"q".yaml', "tab\there.yaml"])
@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\n", "a: 1\r\nb: 2\r\n", "a: 1\nb: 2", "a: 1\nb: \u2028x\n", "b: 1\u0085 2\n"]
)
def test_git_applies_it_and_gets_the_same_bytes(make_repo: MakeRepo, path: str, text: str) -> None:
    top = make_repo({path: text})
    after = {path: text.replace("2", "3"), "new.yaml": "c: 1\n"}
    made = unified(Checkout(top), after)
    subprocess.run(["git", "-C", str(top), "apply", "-"], input=made.encode(), check=True)
    assert {name: (top / name).read_bytes().decode() for name in after} == after
    assert unified(Checkout(top), after) == ""
