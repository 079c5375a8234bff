"""What a branch changes of containers' resources, and what MOrA would say to it, as the comment of a pull request."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mora.domain import Advice, ContainerAdvice, Recommendation, WorkloadState
from mora.errors import BadInput, MoraError
from mora.outputs.figures import amount
from mora.outputs.markdown import plain
from mora.outputs.wording import clean, confidence, title
from mora.quantities import counted, format_moment
from mora.repo import git
from mora.repo.checkout import Checkout
from mora.repo.matching import Live, millis, place
from mora.repo.sites import FIELDS, Field, Site

MARK = "<!-- mora review -->"
"""The first line of the comment, by which the next run finds and replaces it."""
_ROOM = 0.1
"""A number within a tenth of what is recommended fits: people round."""
_MAX_ROWS = 100
_NAMES: Mapping[Field, str] = {
    ("requests", "cpu"): "cpu request",
    ("requests", "memory"): "memory request",
    ("limits", "cpu"): "cpu limit",
    ("limits", "memory"): "memory limit",
}


@dataclass(frozen=True, slots=True)
class Edited:
    """A place whose resources differ from those of the base. before: the numbers there; empty where it is new."""

    site: Site
    before: Mapping[Field, str]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The numbers that differ."""
        return tuple(name for name in FIELDS if self.before.get(name) != self.site.written.get(name))


@dataclass(frozen=True, slots=True)
class Remark:
    """What is recommended for one number that a branch sets. is_short: whether it sets less than is needed."""

    number: str
    before: str
    after: str
    recommended: str
    verdict: str
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An edited place with its remarks; without a recommendation, the reason why there is none."""

    edited: Edited
    recommendation: Recommendation | None = None
    container: str = ""
    remarks: tuple[Remark, ...] = ()
    reason: str = ""

    @property
    def is_short(self) -> bool:
        """Whether the branch sets less of anything than is needed."""
        return any(remark.is_short for remark in self.remarks)


@contextmanager
def base_of(checkout: Checkout, reference: str) -> Iterator[Path]:
    """All files of the commit that a branch left `reference` at, in a folder that is gone afterwards.

    Raises BadInput where the checkout has no Git, or Git does not know the reference.
    """
    if not checkout.is_git:
        raise BadInput(
            f"{checkout.folder} is in no Git checkout, so nothing can be compared.", hint="Name one: --repo DIR"
        )
    try:
        wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
        tip = git.git(checkout.top, *wanted).decode().strip()
    except MoraError as error:
        raise BadInput(
            f"Git knows no commit {clean(reference)!r} in {checkout.top}.",
            hint="Fetch it (git fetch origin main), or name another: --base REF",
        ) from error
    common = git.git(checkout.top, "merge-base", tip, "HEAD", ok=(0, 1)).decode().strip() or tip
    with tempfile.TemporaryDirectory(prefix="mora-base-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git.git(checkout.top, "read-tree", common, more=index)
        files = Path(folder) / "files"
        files.mkdir()
        git.git(checkout.top, "checkout-index", "--all", "--quiet", f"--prefix={files}/", more=index)
        yield files


def edited(before: Sequence[Site], after: Sequence[Site]) -> list[Edited]:
    """The places of `after` whose numbers differ from those in `before`, or that were not there; in their order.

    A place is the same where file, object and container are, though it moved within the file. What sets no number
    before and after is no change.
    """
    earlier: dict[tuple[object, ...], list[Site]] = defaultdict(list)
    for site in before:
        earlier[_identity(site)].append(site)
    found = []
    for site in after:
        same = earlier[_identity(site)]
        known = next((one for one in same if one.address == site.address), same[0] if same else None)
        if known is not None:
            same.remove(known)
        one = Edited(site, {} if known is None else known.written)
        if one.fields:
            found.append(one)
    return found


def _identity(site: Site) -> tuple[object, ...]:
    claim = site.claim
    return site.file, site.form, claim.kind, claim.namespace, claim.name, claim.container, claim.release, claim.words


def review(
    found: Sequence[Edited],
    sites: Sequence[Site],
    recommendations: Sequence[Recommendation],
    states: Sequence[WorkloadState] = (),
) -> list[Reviewed]:
    """Each edited place with what is recommended for the container that it is of.

    sites: all places of the branch, since what is the place of another container is not this one's.
    """
    known = {state.workload: state for state in states}
    by_manifest = {one.manifest: one for one in recommendations}
    live = [Live.of_recommendation(one, known.get(one.workload)) for one in recommendations]
    placed = {one.site.key: one for one in place(live, sites) if one.site is not None}
    reviewed = []
    for one in found:
        placement = placed.get(one.site.key)
        recommendation = None if placement is None else by_manifest.get(placement.workload)
        if placement is None or recommendation is None:
            reviewed.append(Reviewed(one, reason="no running container is known to be set here"))
            continue
        name = placement.container.name
        advice = next((c for c in recommendation.containers if c.container == name), None)
        if advice is None:
            reviewed.append(Reviewed(one, recommendation, name, reason="nothing is recommended for this container"))
            continue
        remarks = tuple(_remark(field, one, advice) for field in one.fields)
        reviewed.append(Reviewed(one, recommendation, name, remarks))
    return reviewed


def _remark(field: Field, edit: Edited, container: ContainerAdvice) -> Remark:
    name = _NAMES[field]
    advice: Advice = getattr(container, name.replace(" ", "_"))
    before, after = (written.get(field, "not set") for written in (edit.before, edit.site.written))
    asked = millis(field, edit.site.written.get(field))
    if advice.value is None:
        if advice.is_unset:
            return Remark(name, before, after, "not set", "fits" if asked is None else "not needed")
        why = advice.summary or (advice.reasons[0].text if advice.reasons else "no number is known")
        return Remark(name, before, after, "no number", clean(why))
    wanted = amount(name, advice.at_goal.value) if asked is not None else amount(name, advice.value)
    sure = f"{wanted} ({confidence(advice)})"
    if asked is None:
        return Remark(name, before, after, sure, "missing" if field[0] == "requests" else clean(advice.summary))
    goal = advice.at_goal.value or advice.value
    if asked < goal * (1 - _ROOM):
        return Remark(
            name, before, after, sure, f"{1 - asked / goal:.0%} too little: {clean(advice.summary)}", is_short=True
        )
    if asked > goal * (1 + _ROOM):
        return Remark(name, before, after, sure, f"{asked / goal - 1:.0%} more than needed: {clean(advice.summary)}")
    return Remark(name, before, after, sure, "fits")


def comment(reviewed: Sequence[Reviewed]) -> str:
    """Markdown: a table of the numbers that the branch sets, those that are too small first."""
    short = [one for one in reviewed if one.is_short]
    rows = [(one, remark) for one in [*short, *(one for one in reviewed if not one.is_short)] for remark in one.remarks]
    without = [one for one in reviewed if one.recommendation is None or one.reason]
    lines = [MARK, f"### MOrA on the resources of {counted(len(reviewed), 'container')} in this branch", ""]
    if rows:
        lines += ["| container | number | was | here | recommended | |", "|---|---|---|---|---|---|"]
        lines += [_row(one, remark) for one, remark in rows[:_MAX_ROWS]]
        lines += ["", *([f"{len(rows) - _MAX_ROWS} more numbers are not shown.", ""] if len(rows) > _MAX_ROWS else [])]
        newest = max(one.recommendation.as_of for one, _ in rows if one.recommendation is not None)
        lines += [
            f"From data until {format_moment(newest)}. In brackets: the chance that it covers the next day. "
            "How a number came to be: `mora explain WORKLOAD`.",
            "",
        ]
    if without:
        lines += ["Without a recommendation:", ""]
        lines += [f"- {plain(one.edited.site.where)}: {plain(one.reason)}" for one in without[:_MAX_ROWS]]
        lines.append("")
    return "\n".join(lines)


def _row(one: Reviewed, remark: Remark) -> str:
    who = one.container if one.recommendation is None else f"{title(one.recommendation.workload)} {one.container}"
    place = f"{one.edited.site.file}:{one.edited.site.line}" if one.edited.site.line else one.edited.site.file
    sign = ":warning: " if remark.is_short else ""
    cells = [f"{plain(who)}<br>{plain(place)}", remark.number]
    cells += [plain(remark.before), plain(remark.after), plain(remark.recommended), f"{sign}{plain(remark.verdict)}"]
    return f"| {' | '.join(cells)} |"
