"""The GitHub Action, step by step as a runner runs it: a real checkout, a real Prometheus, a gh that keeps comments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.repo.review import MARK
from tests.fleet import rig
from tests.repo.conftest import committed, run_git
from tests.running import clean_environment, command

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
CART = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: registry.local/shop/server:1
        resources:
          requests: {cpu: 500m, memory: 256Mi}
          limits: {memory: 512Mi}
"""
# The two calls of the API that the action makes, on a file of comments.
GH = """
import json, pathlib, sys
store = pathlib.Path(__file__).with_name("comments.json")
comments = json.loads(store.read_text()) if store.exists() else []
words = sys.argv[1:]
assert words.pop(0) == "api", words
options = {}
path = None
while words:
    word = words.pop(0)
    if word in ("--paginate", "--silent"):
        continue
    if word.startswith("--"):
        options[word] = words.pop(0)
    else:
        path = word
method = options.get("--method", "GET")
if method == "GET":
    assert path == "repos/team/clusters/issues/7/comments", path
    mark = options["--jq"].split('startswith("')[1].split('")')[0]
    print(*(one["id"] for one in comments if one["body"].startswith(mark)), sep="\\n")
else:
    name, _, value = options["--field"].partition("=@")
    assert name == "body"
    text = pathlib.Path(value).read_text()
    if method == "POST":
        assert path == "repos/team/clusters/issues/7/comments", path
        comments.append({"id": 100 + len(comments), "body": text})
    else:
        assert method == "PATCH"
        (one,) = [one for one in comments if path == f"repos/team/clusters/issues/comments/{one['id']}"]
        one["body"] = text
    store.write_text(json.dumps(comments))
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rig.serving(tmp_path_factory.mktemp("shop"), rig.shop(time.time() + 3600)) as url:
        yield url


class Runner:
    """As much of a runner as a composite action needs: inputs, expressions, files of outputs, conditions."""

    def __init__(self, folder: Path, checkout: Path, **inputs: str) -> None:
        self.folder, self.checkout = folder, checkout
        self.outputs: dict[str, str] = {}
        self.programs = folder / "programs"
        if not self.programs.is_dir():
            self.programs.mkdir(parents=True)
            self.program("mora", f'exec {" ".join(command())} "$@"')
            (self.programs / "gh.py").write_text(GH, encoding="utf-8")
            self.program("gh", f'exec {sys.executable} {self.programs}/gh.py "$@"')
        github = {"github.base_ref": "main", "github.token": "t0ken", "github.repository": "team/clusters"}
        self.known = {**github, "github.event.pull_request.number": "7"}
        for name, about in ACTION["inputs"].items():
            self.known[f"inputs.{name}"] = inputs.get(name, self.filled(about["default"]))

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (self.programs / name).chmod(0o755)

    def filled(self, text: str) -> str:
        known = {**self.known, **{f"steps.review.outputs.{name}": value for name, value in self.outputs.items()}}
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known.get(found[1], ""), text)

    def run(self, *names: str) -> list[subprocess.CompletedProcess[str]]:
        """Run the steps of these names; the last one's condition is looked at, too."""
        done = []
        for step in ACTION["runs"]["steps"]:
            if step["name"] not in names:
                continue
            if "if" in step and not (self.known["inputs.comment"] == "true" and self.outputs.get("comment")):
                continue
            assert "${{" not in step["run"], "inputs must not become text of a script"
            files = {
                name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
            }
            environment = {
                **clean_environment(),
                **{name: str(path) for name, path in files.items()},
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_ACTION_PATH": str(ROOT),
                **{name: self.filled(value) for name, value in step.get("env", {}).items()},
            }
            files["GITHUB_OUTPUT"].write_text("", encoding="utf-8")
            done.append(
                subprocess.run(
                    ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
                    cwd=self.checkout,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
            )
            if step.get("id") == "review":
                lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
                self.outputs = dict(line.split("=", 1) for line in lines)
        return done

    @property
    def comments(self) -> list[dict[str, Any]]:
        path = self.programs / "comments.json"
        return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []


REVIEW, COMMENT = "Review the resources", "Comment on the pull request"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    origin = committed(tmp_path / "origin", {"shop/cart.yaml": CART, "README.md": "Clusters\n"})
    subprocess.run(["git", "clone", "--quiet", str(origin), str(tmp_path / "clone")], check=True)
    run_git(tmp_path / "clone", "checkout", "--quiet", "-b", "smaller")
    return tmp_path / "clone"


def test_a_pull_request_that_takes_memory_away_gets_one_comment_which_is_renewed(
    prometheus: str, checkout: Path, tmp_path: Path
) -> None:
    inputs = {"prometheus": prometheus, "options": "-n shop --all --no-kubernetes", "fail-on-lack": "true"}
    for memory in ("128Mi", "200Mi"):
        (checkout / "shop" / "cart.yaml").write_text(CART.replace("256Mi", memory))
        runner = Runner(tmp_path / "runner", checkout, **inputs)
        reviewed, commented = runner.run(REVIEW, COMMENT)
        assert reviewed.returncode == 3, reviewed.stderr  # it sets less than is needed
        assert commented.returncode == 0, commented.stderr
        (comment,) = runner.comments
        assert comment["body"].startswith(MARK)
        (row,) = [line for line in comment["body"].splitlines() if "| memory request |" in line]
        assert f"| 256Mi | {memory} | 677Mi (unknown) | :warning: " in row
        assert "shop/cart" in row
    assert (tmp_path / "runner" / "github_step_summary").read_text().count(MARK) == 2


def test_a_pull_request_without_resources_asks_nothing_and_comments_nothing(checkout: Path, tmp_path: Path) -> None:
    (checkout / "README.md").write_text("More\n")
    runner = Runner(tmp_path / "runner", checkout, prometheus="http://127.0.0.1:9")
    (reviewed,) = runner.run(REVIEW, COMMENT)
    assert reviewed.returncode == 0, reviewed.stderr
    assert runner.comments == []


def test_a_prometheus_that_is_away_fails_the_job_with_the_reason(checkout: Path, tmp_path: Path) -> None:
    (checkout / "shop" / "cart.yaml").write_text(CART.replace("256Mi", "128Mi"))
    runner = Runner(tmp_path / "runner", checkout, prometheus="http://127.0.0.1:9", options="--no-kubernetes")
    (reviewed,) = runner.run(REVIEW, COMMENT)
    assert reviewed.returncode == 1
    assert "127.0.0.1:9 cannot be reached" in reviewed.stderr
    assert runner.comments == []


def test_hostile_inputs_stay_words(checkout: Path, tmp_path: Path) -> None:
    runner = Runner(tmp_path / "runner", checkout, base="$(touch hacked)", options='"; touch hacked; #')
    (reviewed,) = runner.run(REVIEW)
    assert reviewed.returncode != 0
    assert not (checkout / "hacked").exists()


def test_the_action_is_composite_and_its_scripts_are_there_and_sound() -> None:
    assert ACTION["runs"]["using"] == "composite"
    scripts = sorted((ROOT / "integrations" / "action").glob("*.sh"))
    named = [re.search(r"integrations/action/\w+\.sh", step["run"]) for step in ACTION["runs"]["steps"]]
    assert sorted(found[0] for found in named if found) == [str(path.relative_to(ROOT)) for path in scripts]
    for path in scripts:
        subprocess.run(["bash", "-n", str(path)], check=True)
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
