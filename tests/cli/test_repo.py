"""mora repo check, as CI runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.clusters.fake_api import FakeCluster, serving
from tests.repo.conftest import committed
from tests.repo.test_check import BARE
from tests.repo.test_review import WEB
from tests.running import mora

FOUND = "apps/bare.yaml:8: Deployment shop/bare, container server: no cpu and no memory request\n"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    files = {"apps/web.yaml": WEB, "apps/bare.yaml": BARE.replace("web", "bare"), "bad.yaml": "a:\n\tb: 1\n"}
    return committed(tmp_path / "clusters", files)


def test_containers_without_requests_are_named_and_exit_with_3(top: Path) -> None:
    done = mora("repo", "check", cwd=top)
    assert (done.returncode, done.stdout) == (3, FOUND), done.stderr
    assert "1 container without a request." in done.stderr
    assert "Skipped: bad.yaml: it is not valid YAML in line 2" in done.stderr
    assert mora("--quiet", "repo", "check", str(top / "apps"), cwd=top.parent).stdout == FOUND


def test_files_alone_are_checked_where_they_are_named(top: Path) -> None:
    done = mora("repo", "check", "apps/web.yaml", cwd=top)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Every container requests CPU and memory: 1 container of manifests." in done.stderr
    assert mora("repo", "check", "apps/web.yaml", "apps/bare.yaml", cwd=top).stdout == FOUND
    assert mora("repo", "check", "bare.yaml", cwd=top / "apps").stdout == FOUND


def test_a_folder_without_manifests_is_not_called_good(top: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = mora("repo", "check", str(tmp_path / "empty"), cwd=top)
    assert (done.returncode, done.stdout) == (0, "")
    assert "There is no container of a manifest here to check." in done.stderr


@pytest.mark.parametrize(("path", "words"), [("nowhere", "nowhere does not exist"), ("/", "is not in the checkout")])
def test_what_is_not_in_the_checkout_is_refused(path: str, words: str, top: Path) -> None:
    done = mora("repo", "check", ".", path, cwd=top)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["-A", "-n", "shop"], "-A is every namespace"), (["--no-kubernetes"], "Which workloads of the cluster?")],
)
def test_flags_that_contradict_each_other_are_refused(flags: list[str], words: str, top: Path) -> None:
    done = mora("repo", "check", *flags, cwd=top)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_each_container_of_a_cluster_is_named_with_its_place(top: Path, tmp_path: Path) -> None:
    cluster = FakeCluster()
    for text in (WEB, WEB.replace("web", "gone")):
        cluster.add(yaml.safe_load(text))
    with serving(cluster) as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        done = mora("repo", "check", "-n", "shop", cwd=top, KUBECONFIG=str(kubeconfig))
    assert done.returncode == 3, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert ["shop/web", "server", "apps/web.yaml:8"] in [row[:3] for row in rows]
    assert ["shop/gone", "server", "none"] in [row[:3] for row in rows]
    assert "1 of 2 containers of 2 workloads have a place here." in done.stderr
