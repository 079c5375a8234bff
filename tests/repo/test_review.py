"""What a branch changes of resources, and what is recommended in place of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from mora.errors import BadInput
from mora.pipeline import edited_in, review_branch
from mora.repo.review import MARK, comment
from tests.repo.advice import advised
from tests.repo.conftest import committed, run_git

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: server
        image: example/shop:1.4
        resources:
          requests: {cpu: 500m, memory: 64Mi}
          limits: {cpu: 1, memory: 128Mi}
"""
OTHER = WEB.replace("web", "other")


def branch(top: Path, **changes: str) -> Path:
    """A branch of the repository with a file's text changed: old text -> new text, "_" for the old text's spaces."""
    path = top / "apps" / "web.yaml"
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    run_git(top, "checkout", "--quiet", "-b", "try")
    path.write_text(text)
    run_git(top, "commit", "--quiet", "--all", "--message", "Try")
    return top


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return committed(tmp_path / "clusters", {"apps/web.yaml": WEB, "apps/other.yaml": OTHER})


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_a_branch_that_sets_too_little_memory_is_warned(top: Path) -> None:
    found = edited_in(branch(top, **{"memory: 64Mi": "memory: 96Mi"}), "main")
    (one,) = review_branch(found, [advised()])
    assert one.is_short
    (row,) = rows(comment([one]))
    assert row[0] == "Deployment shop/web server<br>apps/web.yaml:8"
    assert row[1:4] == ["memory request", "64Mi", "96Mi"]
    assert row[4].startswith("228Mi (")
    assert row[5].startswith(":warning: 58% too little: ")


def test_a_branch_that_does_what_is_recommended_fits(top: Path) -> None:
    changes = {"cpu: 500m": "cpu: 260m", "memory: 64Mi": "memory: 228Mi", "{cpu: 1, memory: 128Mi}": "{memory: 228Mi}"}
    (one,) = review_branch(edited_in(branch(top, **changes), "main"), [advised()])
    assert not one.is_short
    assert [remark.verdict for remark in one.remarks] == ["fits"] * 4


def test_more_than_needed_is_no_lack(top: Path) -> None:
    (one,) = review_branch(edited_in(branch(top, **{"cpu: 500m": "cpu: 2"}), "main"), [advised()])
    (remark,) = one.remarks
    assert remark.verdict.startswith("687% more than needed")
    assert not one.is_short


def test_a_request_that_is_taken_away_is_missing(top: Path) -> None:
    (one,) = review_branch(edited_in(branch(top, **{"cpu: 500m, ": ""}), "main"), [advised()])
    (remark,) = one.remarks
    assert (remark.before, remark.after, remark.verdict) == ("500m", "not set", "missing")


def test_nothing_is_found_where_resources_stay_though_lines_move(top: Path) -> None:
    found = edited_in(branch(top, **{"      - name: server\n": "      - name: first\n      - name: server\n"}), "main")
    assert found.edited == []


def test_what_changed_on_the_base_meanwhile_is_not_the_branch_s(top: Path) -> None:
    branch(top, **{"cpu: 500m": "cpu: 260m"})
    run_git(top, "checkout", "--quiet", "main")
    (top / "apps" / "other.yaml").write_text(OTHER.replace("64Mi", "1Gi"))
    run_git(top, "commit", "--quiet", "--all", "--message", "Meanwhile")
    run_git(top, "checkout", "--quiet", "try")
    assert [one.site.file for one in edited_in(top, "main").edited] == ["apps/web.yaml"]


def test_a_new_file_is_reviewed_and_a_container_that_runs_nowhere_is_named(top: Path) -> None:
    run_git(top, "checkout", "--quiet", "-b", "try")
    (top / "apps" / "new.yaml").write_text(WEB.replace("web", "new"))
    found = edited_in(top, "main")
    (one,) = review_branch(found, [advised()])
    assert one.recommendation is None
    assert "- apps/new.yaml:8" in comment([one]).replace("\\", "")
    assert "no running container is known to be set here" in comment([one])


def test_a_folder_of_a_checkout_is_reviewed_alone(top: Path) -> None:
    (top / "apps" / "web.yaml").write_text(WEB.replace("500m", "300m"))
    assert len(edited_in(top / "apps", "main").edited) == 1
    (top / "docs").mkdir()
    assert edited_in(top / "docs", "main").edited == []


def test_a_folder_that_another_folder_deploys_is_compared_with_the_same_folder_of_the_base(tmp_path: Path) -> None:
    flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n"
    flux += "spec: {path: ./apps, targetNamespace: shop}\n"
    top = committed(
        tmp_path / "clusters", {"apps/web.yaml": WEB.replace(", namespace: shop", ""), "flux/apps.yaml": flux}
    )
    assert edited_in(top, "main").edited == edited_in(top / "apps", "main").edited == []


def test_temporary_files_may_be_within_the_checkout(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "build").mkdir()
    (top / ".gitignore").write_text("build\n")
    monkeypatch.setattr("tempfile.tempdir", str(top / "build"))
    (top / "apps" / "web.yaml").write_text(WEB.replace("500m", "300m"))
    assert len(edited_in(top, "main").edited) == 1


def test_git_and_its_index_stay_as_they_are(top: Path) -> None:
    branch(top, **{"cpu: 500m": "cpu: 260m"})
    (top / "apps" / "web.yaml").write_text(WEB)
    before = run_git(top, "status", "--porcelain=v2", "--branch")
    edited_in(top, "main")
    assert run_git(top, "status", "--porcelain=v2", "--branch") == before
    assert run_git(top, "worktree", "list").count("\n") == 1


@pytest.mark.parametrize("reference", ["nope", "--help", "main..try"])
def test_a_base_that_git_does_not_know_is_refused(top: Path, reference: str) -> None:
    with pytest.raises(BadInput, match="Git knows no commit"):
        edited_in(top, reference)


def test_a_folder_without_git_has_nothing_to_compare_with(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(WEB)
    with pytest.raises(BadInput, match="in no Git checkout"):
        edited_in(tmp_path, "main")


def test_hostile_text_of_a_branch_stays_text_in_the_comment(top: Path) -> None:
    hostile = "'<img src=x onerror=alert(1)>|@team [x](http://evil.example)'"
    (one,) = review_branch(edited_in(branch(top, **{"memory: 64Mi": f"memory: {hostile}"}), "main"), [advised()])
    text = comment([one])
    assert text.startswith(MARK)
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text.removeprefix(MARK))
    assert "<img" not in html
    assert "<a " not in html
    assert "@team" not in text
    assert html.count("<tr>") == 2


def test_a_container_without_a_number_is_named_with_the_reason(top: Path) -> None:
    one = advised()
    main = replace(one.main, cpu_request=replace(one.main.cpu_request, value=None, summary="an HPA scales on it"))
    found = edited_in(branch(top, **{"cpu: 500m": "cpu: 260m"}), "main")
    (reviewed,) = review_branch(found, [replace(one, containers=(main, *one.others))])
    (remark,) = reviewed.remarks
    assert (remark.recommended, remark.verdict, remark.is_short) == ("no number", "an HPA scales on it", False)
