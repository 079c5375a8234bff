"""Looking at a repository without changing it: containers without requests, and workloads without a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mora.domain import WorkloadState
from mora.repo.matching import Live, Placement, place
from mora.repo.sites import Field, Site

REQUESTS: tuple[Field, ...] = (("requests", "cpu"), ("requests", "memory"))


@dataclass(frozen=True, slots=True)
class Bare:
    """A container of which a request is missing. missing: "cpu", "memory", or both."""

    site: Site
    missing: tuple[str, ...]

    @property
    def who(self) -> str:
        """The container as text: Deployment shop/web, container server."""
        claim = self.site.claim
        name = claim.name or "without a name"
        full = name if claim.namespace is None else f"{claim.namespace}/{name}"
        return f"{claim.kind or 'object'} {full}, container {claim.container}"


def bare(sites: Iterable[Site], within: Sequence[str] = ()) -> list[Bare]:
    """The containers without a request, in the order of their files.

    An overlay is judged by itself: a base that one overlay completes and another does not is missing in the second.
    Init containers are left out, since a pod reserves the larger of theirs and the others'; so are values of charts,
    which may have defaults that no repository shows. within: paths of files and folders to report; all without.
    """
    found = []
    for site in judged(sites, within):
        missing = tuple(resource for section, resource in REQUESTS if (section, resource) not in site.written)
        if missing:
            found.append(Bare(site, missing))
    return sorted(found, key=lambda one: (one.site.file, one.site.line or 0, one.who))


def judged(sites: Iterable[Site], within: Sequence[str] = ()) -> list[Site]:
    """The sites that bare() judges: of containers of manifests that are no init containers, in files of `within`."""
    return [
        site
        for site in sites
        if not (site.claim.is_of_chart or site.claim.container is None or site.claim.is_init)
        and (not within or any(_is_in(site.file, path) for path in within))
    ]


def placed(states: Iterable[WorkloadState], sites: Sequence[Site]) -> list[Placement]:
    """Where each container of each workload of a cluster is set, or why that is not known."""
    return place([Live.of_state(state) for state in states], sites)


def _is_in(file: str, path: str) -> bool:
    return path in ("", ".") or file == path or file.startswith(f"{path}/")
