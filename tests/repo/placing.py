"""What tests of the forms share: the site of one live container, and the lines that a change of it changes."""

from __future__ import annotations

import difflib
from pathlib import Path

from mora.domain import Container, Resources, Role, Workload
from mora.quantities import parse_cpu, parse_memory
from mora.repo import helm
from mora.repo.checkout import Checkout
from mora.repo.matching import Live, Placement, place
from mora.repo.sites import Field, Site, Wanted, WriteOptions
from mora.repo.writing import write_resources

MORE = Wanted({("requests", "cpu"): "137m", ("requests", "memory"): "321Mi"})


def container(
    name: str, requests: str = "", limits: str = "", *, image: str | None = None, is_init: bool = False
) -> Container:
    """A container of quantities such as "100m 128Mi"; "-" is not set."""
    cpu, memory = _amounts(requests)
    cpu_limit, memory_limit = _amounts(limits)
    role = Role.INIT if is_init else Role.APP
    return Container(name, Resources(cpu, cpu_limit, memory, memory_limit), image=image, role=role)


def _amounts(text: str) -> tuple[int | None, int | None]:
    cpu, memory = (text or "- -").split()
    return None if cpu == "-" else parse_cpu(cpu), None if memory == "-" else parse_memory(memory)


def live(
    name: str,
    *containers: Container,
    kind: str = "Deployment",
    namespace: str = "shop",
    release: str | None = None,
    labels: dict[str, str] | None = None,
) -> Live:
    """A workload as the cluster has it; release: of Helm, installed into its namespace."""
    known = None if release is None else (release, namespace)
    return Live(Workload(namespace, name, kind), tuple(containers), labels or {}, known)


def placed(top: Path, *workloads: Live) -> list[Placement]:
    """The placement of each container by the form of Helm alone."""
    return place(workloads, list(helm.sites(Checkout(top))))


def site_of(top: Path, *workloads: Live) -> Site:
    """The site of the first container; fails where it has none."""
    found = placed(top, *workloads)[0]
    assert found.site is not None, found.reason
    return found.site


def changed(
    top: Path, site: Site, wanted: Wanted = MORE, *, in_base: bool = False, split_anchors: bool = False
) -> dict[str, list[str]]:
    """Path -> the lines that differ after the change, as a diff without context shows them."""
    checkout = Checkout(top)
    writer = site.writer or write_resources
    texts = writer(checkout, {}, site, wanted, WriteOptions(in_base=in_base, split_anchors=split_anchors))
    return {path: _lines(checkout.text(path) or "", text) for path, text in texts.items()}


def _lines(before: str, after: str) -> list[str]:
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def fields(**quantities: str | None) -> Wanted:
    """What to set, by names such as requests_cpu; None removes."""
    found: dict[Field, str | None] = {}
    for name, quantity in quantities.items():
        section, _, resource = name.partition("_")
        found[section, resource] = quantity
    return Wanted(found)
