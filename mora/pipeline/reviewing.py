"""Reviewing a branch: what it changes of resources, before Prometheus is asked, and what is recommended in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.domain import Recommendation, WorkloadState
    from mora.repo.review import Edited, Reviewed
    from mora.repo.sites import Site


@dataclass(frozen=True, slots=True)
class Branch:
    """The places of a checkout where resources differ from its base, and all its places."""

    edited: Sequence[Edited]
    sites: Sequence[Site]


def edited_in(folder: Path, base: str, *, reporter: Reporter | None = None) -> Branch:
    """What the checkout of a folder changes since it left the reference `base`. Raises BadInput, as base_of() does."""
    from mora.repo.changes import all_sites
    from mora.repo.checkout import Checkout
    from mora.repo.review import base_of, edited

    checkout = Checkout(folder)
    with base_of(checkout, base) as earlier:
        same = earlier / checkout.folder.relative_to(checkout.top)
        before = all_sites(Checkout(same, copy=earlier), reporter=reporter) if same.is_dir() else []
    after = all_sites(checkout, reporter=reporter)
    return Branch(edited(before, after), after)


def review_branch(
    branch: Branch, recommendations: Sequence[Recommendation], states: Sequence[WorkloadState] = ()
) -> list[Reviewed]:
    """Each edited place with what is recommended for the container that it is of."""
    from mora.repo.review import review

    return review(branch.edited, branch.sites, recommendations, states)
