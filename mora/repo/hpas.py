"""Autoscalers in a repository: where the target of an HPA is set that has to change together with the requests."""

from __future__ import annotations

from collections.abc import Iterator

from mora.domain import Autoscaler, Target, Workload
from mora.repo.addresses import Refusal, read_text
from mora.repo.checkout import Checkout, Object
from mora.repo.edits import set_value
from mora.repo.sites import Address, Texts
from mora.repo.tree import items_at, text_at
from mora.repo.writing import check_rest, current_text

_KIND = "HorizontalPodAutoscaler"


def retarget(checkout: Checkout, texts: Texts, workload: Workload, scaler: Autoscaler) -> Texts:
    """The files with the HPA's target as it must become. Refusal where no file, or more than one, sets it."""
    found = list(_targets(checkout, workload, scaler))
    if len(found) != 1:
        which = f"HPA {scaler.name} ({scaler.resource} {scaler.target}%)"
        if not found:
            raise Refusal(f"the target of {which} must change with the requests, and no file of the repository sets it")
        files = " and ".join(sorted({file for file, _ in found}))
        raise Refusal(f"the target of {which} must change with the requests, and {files} set it alike")
    file, address = found[0]
    text = current_text(checkout, texts, file)
    if read_text(text, address) == str(scaler.target):
        return {}
    changed = set_value(text, address, scaler.target)
    check_rest(text, changed, [address])
    return {file: changed}


def _targets(checkout: Checkout, workload: Workload, scaler: Autoscaler) -> Iterator[tuple[str, Address]]:
    for one in checkout.objects(_KIND):
        if one.name != scaler.name or one.namespace not in (None, workload.namespace):
            continue
        reference = (
            text_at(one.node, "spec", "scaleTargetRef", "kind"),
            text_at(one.node, "spec", "scaleTargetRef", "name"),
        )
        if reference == (workload.kind, workload.name):
            yield from ((one.file, address) for address in _addresses(one, scaler))


def _addresses(one: Object, scaler: Autoscaler) -> Iterator[Address]:
    if scaler.resource is Target.CPU and text_at(one.node, "spec", "targetCPUUtilizationPercentage") is not None:
        yield Address(one.document, (*one.path, "spec", "targetCPUUtilizationPercentage"))
    for place, metric in enumerate(items_at(one.node, "spec", "metrics")):
        key = "containerResource" if scaler.container else "resource"
        if text_at(metric, key, "name") != scaler.resource.value:
            continue
        if scaler.container is not None and text_at(metric, key, "container") != scaler.container:
            continue
        path = (*one.path, "spec", "metrics", place, key)
        for keys in (("target", "averageUtilization"), ("targetAverageUtilization",)):
            if text_at(metric, key, *keys) is not None:
                yield Address(one.document, (*path, *keys))
