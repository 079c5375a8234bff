"""Objects of operators: the resources of what an operator makes are set in the object that it makes it from.

Only operators are known whose rule for the names of what they make is documented; the others' objects are no sites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mora.repo.checkout import Checkout
from mora.repo.manifests import known, labels_of, written_in
from mora.repo.sites import Address, Claim, Site
from mora.repo.tree import Key, at, text_at

_FORM = "object of an operator"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What an operator makes of a kind. name, container: {name} is the object's.

    kind: of what is made; where it is the object's own, its pods have no other owner. path: of the resources.
    """

    group: str
    kind: str
    name: str
    container: str
    path: tuple[Key, ...] = ("spec", "resources")


_STATEFUL, _DEPLOYED = "StatefulSet", "Deployment"
# Sources: the documentation of each operator on the names of its workloads and containers.
_RULES: Mapping[str, _Rule] = {
    "Prometheus": _Rule("monitoring.coreos.com", _STATEFUL, "prometheus-{name}", "prometheus"),
    "Alertmanager": _Rule("monitoring.coreos.com", _STATEFUL, "alertmanager-{name}", "alertmanager"),
    "ThanosRuler": _Rule("monitoring.coreos.com", _STATEFUL, "thanos-ruler-{name}", "thanos-ruler"),
    "Cluster": _Rule("postgresql.cnpg.io", "Cluster", "{name}", "postgres"),
    "Dragonfly": _Rule("dragonflydb.io", _STATEFUL, "{name}", "dragonfly"),
    "Redis": _Rule(
        "redis.redis.opstreelabs.in", _STATEFUL, "{name}", "{name}", ("spec", "kubernetesConfig", "resources")
    ),
    "RabbitmqCluster": _Rule("rabbitmq.com", _STATEFUL, "{name}-server", "rabbitmq"),
    "VMSingle": _Rule("operator.victoriametrics.com", _DEPLOYED, "vmsingle-{name}", "vmsingle"),
    "VMAgent": _Rule("operator.victoriametrics.com", _DEPLOYED, "vmagent-{name}", "vmagent"),
    "VMAlert": _Rule("operator.victoriametrics.com", _DEPLOYED, "vmalert-{name}", "vmalert"),
    "VMAlertmanager": _Rule("operator.victoriametrics.com", _STATEFUL, "vmalertmanager-{name}", "alertmanager"),
}


def sites(checkout: Checkout) -> Iterator[Site]:
    """The main container of everything that a known operator makes of an object in the checkout."""
    for one in checkout.objects(*_RULES):
        rule = _RULES[one.kind]
        name = known(one.name)
        if not one.api_version.startswith(f"{rule.group}/") or name is None:
            continue
        written = written_in(at(one.node, *rule.path))
        yield Site(
            form=_FORM,
            file=one.file,
            address=Address(one.document, (*one.path, *rule.path)),
            claim=Claim(
                kind=rule.kind,
                name=rule.name.format(name=name),
                namespace=known(one.namespace),
                container=rule.container.format(name=name),
                is_init=False,
                image=known(text_at(one.node, "spec", "imageName") or text_at(one.node, "spec", "image")),
                labels=labels_of(one.node),
            ),
            written=written,
            sets=frozenset(written),
            line=checkout.line(one.file, one.node.start),
        )
