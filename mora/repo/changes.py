"""What changes in a repository for recommendations, workload by workload, and what does not, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mora import registry
from mora.domain import ContainerAdvice, Recommendation, Workload, WorkloadState
from mora.outputs.changes import RESOURCE_FIELDS, in_manifest, in_template, quantity, sets, sets_replicas
from mora.repo.addresses import Refusal
from mora.repo.checkout import Checkout
from mora.repo.hpas import retarget
from mora.repo.matching import Live, Placement, millis, place
from mora.repo.sites import Field, Site, Texts, Wanted, WriteOptions
from mora.repo.writing import write_resources
from mora.seams import Reporter, Silent

DEFAULTS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Change:
    """What changes for one workload. texts: the files that it touches, after this change and those before it."""

    recommendation: Recommendation
    texts: Mapping[str, str]
    placements: tuple[Placement, ...]

    @property
    def workload(self) -> Workload:
        """The workload."""
        return self.recommendation.workload


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A container (or, where it is None, a whole workload) that should change and does not, with the reason."""

    workload: Workload
    container: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in the order that they build on each other.

    same: workloads whose files already say what is recommended, or that need no change. set_already: the former.
    """

    checkout: Checkout
    changes: tuple[Change, ...]
    unchanged: tuple[Unchanged, ...]
    same: tuple[Workload, ...] = ()
    set_already: tuple[Workload, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """Every file that changes, as it is in the end."""
        return {path: text for change in self.changes for path, text in change.texts.items()}


def all_sites(checkout: Checkout, *, reporter: Reporter | None = None) -> list[Site]:
    """The sites of every registered form, each place once."""
    reporter = reporter or Silent()
    forms = registry.names("repo_forms")
    found: dict[object, Site] = {}
    for number, name in enumerate(forms):
        reporter.advance("repository", number, len(forms), name)
        for site in registry.load("repo_forms", name)(checkout):
            found.setdefault(
                (site.key, site.claim.kind, site.claim.name, site.claim.namespace, site.claim.container), site
            )
    reporter.advance("repository", len(forms), len(forms))
    return list(found.values())


def plan(
    checkout: Checkout,
    recommendations: Sequence[Recommendation],
    states: Sequence[WorkloadState] = (),
    options: WriteOptions = DEFAULTS,
    *,
    reporter: Reporter | None = None,
) -> Plan:
    """Find the place of every container that should change, and change its text; nothing is written.

    states: of the workloads, whose labels and annotations are evidence. Other workloads of the cluster may be among
    them: a place that one of them shares is not changed for the other.
    """
    known = {state.workload: state for state in states}
    live = [Live.of_recommendation(one, known.get(one.workload)) for one in recommendations]
    asked = {one.workload for one in live}
    others = [Live.of_state(state) for state in states if (state.template_in or state.workload) not in asked]
    placements = place([*live, *others], all_sites(checkout, reporter=reporter))
    by_workload: dict[Workload, list[Placement]] = {}
    for one in placements:
        by_workload.setdefault(one.workload, []).append(one)
    texts: Texts = {}
    changes, unchanged, same, set_already = [], [], [], []
    for recommendation in sorted(recommendations, key=lambda one: one.workload):
        own = by_workload.get(recommendation.manifest, [])
        before = dict(texts)
        done, problems = _changed(checkout, texts, recommendation, own, options)
        unchanged += problems
        touched = {path: text for path, text in texts.items() if before.get(path) != text}
        if touched:
            changes.append(Change(recommendation, touched, tuple(done)))
        elif not problems:
            same.append(recommendation.workload)
            if done:
                set_already.append(recommendation.workload)
    return Plan(checkout, tuple(changes), tuple(unchanged), tuple(same), tuple(set_already))


def _changed(
    checkout: Checkout,
    texts: Texts,
    recommendation: Recommendation,
    placements: Sequence[Placement],
    options: WriteOptions,
) -> tuple[list[Placement], list[Unchanged]]:
    """Change the texts for one workload; the placements that were used, and what was not changed."""
    workload = recommendation.workload
    by_container = {one.container.name: one for one in placements}
    wanted = {c.container: _wanted(c) for c in in_template(recommendation)}
    wanted = {name: fields for name, fields in wanted.items() if fields}
    replicas = _replicas(recommendation)
    if not wanted and replicas is None:
        return [], []
    trial = dict(texts)
    done: list[Placement] = []
    problems: list[Unchanged] = []
    try:
        retargeted = [scaler for scaler in recommendation.retargets if scaler not in recommendation.autoscalers]
        for scaler in retargeted:
            trial |= retarget(checkout, trial, recommendation.workload, scaler)
    except Refusal as refusal:
        return [], [Unchanged(workload, None, refusal.message)]
    names = list(dict.fromkeys([*wanted, *([recommendation.main.container] if replicas is not None else [])]))
    for name in names:
        found = by_container.get(name)
        if found is None or found.site is None:
            problems.append(Unchanged(workload, name, found.reason if found else "the cluster does not show it"))
            continue
        parts = [Wanted(wanted.get(name, {}))]
        if replicas is not None and name == recommendation.main.container:
            parts.append(Wanted({}, replicas))
        for part in parts:
            try:
                trial |= write_at(checkout, trial, found.site, part, options)
                done.append(found)
            except Refusal as refusal:
                what = "the number of replicas in " if part.replicas is not None else ""
                reason = f"{what}{found.site.where} is not changed, since {refusal.message}"
                problems.append(Unchanged(workload, None if what else name, reason))
    if problems and retargeted:
        # An HPA whose target changed without the requests, or the other way round, would scale to other replicas.
        return [], problems
    if done:
        texts |= trial
    return [one for number, one in enumerate(done) if one not in done[:number]], problems


def write_at(checkout: Checkout, texts: Texts, site: Site, wanted: Wanted, options: WriteOptions) -> Texts:
    """Set numbers at a site by its own writer, as far as it says something else. Refusal where it must not change."""
    fields = {
        name: value
        for name, value in wanted.fields.items()
        if value is None or millis(name, site.written.get(name)) != millis(name, value)
    }
    # Values of a chart that is not here may hide a limit of its own, which nothing but null removes.
    hides = site.drops_by == "null" and site.claim.is_of_chart
    fields = {name: value for name, value in fields.items() if value is not None or name in site.written or hides}
    replicas = wanted.replicas if site.written_replicas != str(wanted.replicas) else None
    if not fields and replicas is None:
        return {}
    if site.refusal is not None:
        raise Refusal(site.refusal)
    if replicas is not None and site.replicas is None:
        raise Refusal("they are not set where its resources are")
    if site.shared is not None and not options.in_base:
        raise Refusal(f"{site.shared}; --in-base changes it there")
    writer = site.writer or write_resources
    return writer(checkout, texts, site, Wanted(fields, replicas), options)


def _wanted(container: ContainerAdvice) -> dict[Field, str | None]:
    """The numbers that differ from what the template has now."""
    wanted: dict[Field, str | None] = {}
    for section, resource, name in RESOURCE_FIELDS:
        advice = getattr(container, name)
        before = in_manifest(container, name)
        # What pods get without the template's word (a LimitRange's default) stays unwritten while it stays the same.
        if sets(advice) and advice.value != before and not (before is None and advice.value == advice.now):
            wanted[section, resource] = None if advice.value is None else quantity(resource, advice.value)
    return wanted


def _replicas(recommendation: Recommendation) -> int | None:
    value = recommendation.replicas.value
    return value if sets_replicas(recommendation) and value != recommendation.current.replicas else None
