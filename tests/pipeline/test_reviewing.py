"""A branch is read before anything is asked (what is found and said of it: tests/repo/test_review.py)."""

from __future__ import annotations

from pathlib import Path

from mora.pipeline import edited_in, review_branch
from tests.repo.advice import advised
from tests.repo.conftest import committed
from tests.repo.test_review import WEB


def test_edited_places_are_found_in_every_form_and_matched_with_what_is_recommended(tmp_path: Path) -> None:
    overlay = "resources: [web.yaml]\npatches:\n- path: patch.yaml\n"
    patch = WEB.replace("        image: example/shop:1.4\n", "").replace("64Mi", "96Mi")
    top = committed(tmp_path / "repo", {"web.yaml": WEB, "kustomization.yaml": "resources: [web.yaml]\n"})
    (top / "kustomization.yaml").write_text(overlay)
    (top / "patch.yaml").write_text(patch)
    branch = edited_in(top, "main")
    assert "patch.yaml" in {one.site.file for one in branch.edited}
    reviewed = {one.edited.site.file: one for one in review_branch(branch, [advised()])}
    remark = next(one for one in reviewed["patch.yaml"].remarks if one.number == "memory request")
    assert (remark.after, remark.is_short) == ("96Mi", True)
