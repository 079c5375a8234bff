"""The snippet is the complete `resources` of a container."""

from __future__ import annotations

import yaml as pyyaml

from mora.outputs import yaml
from mora.outputs.changes import in_template
from tests.outputs import examples
from tests.outputs.checks import container, pod_spec, resources, validate
from tests.outputs.golden import golden


def test_every_snippet_pasted_into_its_manifest_is_valid_and_has_the_numbers() -> None:
    recommendations = examples.fleet()
    kept = golden("fleet.yaml", yaml.render(recommendations))
    for recommendation, snippet in zip(recommendations, pyyaml.safe_load_all(kept), strict=True):
        pasted = examples.manifest(recommendation)
        alone = (
            {"containers": [{"name": recommendation.main.container, **snippet}]} if "resources" in snippet else snippet
        )
        for name, items in alone.items():
            for item in items:
                assert item["name"] in {there["name"] for there in pod_spec(pasted)[name]}
                container(pasted, item["name"]).update(item)
        validate(pasted)
        for advice in in_template(recommendation):
            assert resources(pasted, advice.container) == advice.resources


def test_what_is_not_advised_is_printed_as_it_is() -> None:
    snippet = pyyaml.safe_load(yaml.render([examples.cart()]))["resources"]
    assert snippet["requests"]["cpu"] == "200m"
    assert snippet["limits"]["cpu"] == "300m"
    assert snippet["requests"]["memory"] == snippet["limits"]["memory"] == "359Mi"


def test_replicas_are_a_comment_unless_an_autoscaler_sets_them() -> None:
    assert "# replicas: 2\n" in yaml.render([examples.frontend()])
    assert "# replicas: " not in yaml.render([examples.cart()])
