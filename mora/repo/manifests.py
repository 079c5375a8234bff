"""The plain form: a Deployment, StatefulSet, DaemonSet, CronJob, Job or Rollout as it is applied, in any YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mora.domain import API_VERSIONS
from mora.outputs.changes import SCALED_KINDS
from mora.outputs.patches import template_path
from mora.repo.checkout import Checkout, Object
from mora.repo.sites import FIELDS, Address, Claim, Field, Site
from mora.repo.tree import Node, at, items_at, plain, text_at

LISTS = (("containers", False), ("initContainers", True))
_VARIABLES = ("{{", "${", "$(")


def sites(checkout: Checkout) -> Iterator[Site]:
    """Every container of every workload that is written as a manifest."""
    from mora.repo.overlays import files_of  # it is built on this module

    elsewhere = files_of(checkout)
    for one in checkout.objects(*API_VERSIONS):
        if one.file not in elsewhere:
            yield from sites_of(checkout, one)


def sites_of(checkout: Checkout, one: Object) -> Iterator[Site]:
    """The containers of one workload."""
    template = template_path(one.kind)
    replicas = Address(one.document, (*one.path, "spec", "replicas")) if one.kind in SCALED_KINDS else None
    for name, is_init in LISTS:
        for place, container in enumerate(items_at(one.node, *template, "spec", name)):
            path = (*one.path, *template, "spec", name, place, "resources")
            written = written_in(at(container, "resources"))
            yield Site(
                form="manifest",
                file=one.file,
                address=Address(one.document, path),
                claim=claim_of(one, text_at(container, "name"), text_at(container, "image"), is_init=is_init),
                written=written,
                sets=frozenset(written),
                replicas=replicas,
                written_replicas=text_at(one.node, "spec", "replicas"),
                line=checkout.line(one.file, container.start),
            )


def claim_of(one: Object, container: str | None, image: str | None, *, is_init: bool) -> Claim:
    """What a manifest says of a container; what holds a variable says nothing."""
    return Claim(
        kind=one.kind,
        name=known(one.name),
        namespace=known(one.namespace),
        container=known(container),
        is_init=is_init,
        image=known(image),
        labels=labels_of(one.node),
    )


def known(text: str | None) -> str | None:
    """A text without variables, such as those that Flux fills in; None for one that has any."""
    return None if text is None or any(sign in text for sign in _VARIABLES) else text


def labels_of(node: Node) -> dict[str, str]:
    """The labels of an object."""
    found = plain(at(node, "metadata", "labels"))
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def written_in(resources: Node | None) -> Mapping[Field, str]:
    """The quantities of a mapping `resources` as they are written."""
    if resources is None:
        return {}
    return {name: text for name in FIELDS if (text := text_at(resources, *name)) is not None}
