"""Manifests for Chaos Mesh and LitmusChaos, checked by the schemas of their CustomResourceDefinitions.

crds.json has those schemas, trimmed; its comment says where they are from.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mora.chaos.catalogue import KINDS
from mora.chaos.manifests import CHAOS_MESH, ENGINES, LITMUS, Made, Site, as_yaml, manifests
from mora.chaos.scenario import Scenario, scenario_names
from mora.errors import BadInput
from tests.chaos.made import scenario

SCHEMAS = json.loads((Path(__file__).parent / "crds.json").read_text())
SITE = Site("shop", container="server")


def strict(schema: Any) -> Any:
    """A schema that refuses unknown fields, which a cluster would drop without a word."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items() if key != "allowEmptyValue"}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        found["additionalProperties"] = False
    return found


def check(manifest: Any) -> None:
    schema = strict(SCHEMAS[manifest["kind"]])
    schema["properties"]["metadata"] = {"type": "object", "required": ["name", "namespace"]}
    jsonschema.Draft7Validator(schema).validate(manifest)
    check_as_the_webhooks_do(manifest["kind"], manifest["spec"])


def check_as_the_webhooks_do(kind: str, spec: Any) -> None:
    """What the schemas leave to Chaos Mesh's admission webhooks and its daemon (api/v1alpha1/*_webhook.go)."""
    if kind == "NetworkChaos" and spec.get("direction") in ("from", "both"):
        assert "target" in spec, "`from` and `both` direction cannot be used when targets is empty"
    if kind == "IOChaos":
        assert spec["methods"] == ["write"], "its names of methods have small letters"
        assert spec["path"].startswith(spec["volumePath"] + "/")


def of_kind(tmp_path: Path, kind: str, engine: str, site: Site = SITE, **fields: Any) -> Made:
    lines = [f"fault = '{kind}'", "target = 'cartservice'", *(f"{name} = {value}" for name, value in fields.items())]
    (made,) = manifests(scenario(tmp_path, "[[faults]]\n" + "\n".join(lines)), site, engine)
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_fits_the_schema_of_its_kind(tmp_path: Path, kind: str, engine: str) -> None:
    made = of_kind(tmp_path, kind, engine)
    if made.manifest is None:
        assert (engine, kind) == (CHAOS_MESH, "noisy-neighbour")
        assert "litmus" in made.remarks[0]
        return
    check(made.manifest)
    text = json.dumps(made.manifest)
    assert "cartservice" in text
    assert made.manifest["metadata"]["namespace"] == "shop"


def test_the_schemas_refuse_what_does_not_fit(tmp_path: Path) -> None:
    made = dict(of_kind(tmp_path, "latency", CHAOS_MESH).manifest or {})
    for change in ({"action": "slow"}, {"modus": "all"}, {"mode": "some"}):
        with pytest.raises(jsonschema.ValidationError):
            check({**made, "spec": {**made["spec"], **change}})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", scenario_names())
def test_the_yaml_of_every_scenario_has_each_fault_once(name: str, engine: str) -> None:
    of = Scenario.load_from(name)
    made = manifests(of, Site("default"), engine)
    documents = [one for one in yaml.safe_load_all(as_yaml(of, made, engine)) if one is not None]
    assert len(documents) == sum(one.manifest is not None for one in made)
    assert len({one["metadata"]["name"] for one in documents}) == len(documents)
    for one in documents:
        check(one)


def test_the_comments_say_when_each_is_applied_and_of_which_part() -> None:
    one, many = Scenario.load_from("every-fault"), Scenario.load_from("suite")
    text = as_yaml(one, manifests(one, SITE, CHAOS_MESH), CHAOS_MESH)
    assert "# cpu-hog at cartservice, after 5m\n" in text
    assert "Left out: noisy-neighbour" in text
    text = as_yaml(many, manifests(many, SITE, LITMUS), LITMUS)
    found = [int(number) for number in re.findall(r"^# .* at \w+, part (\d+), after ", text, re.MULTILINE)]
    assert found == sorted(found)
    assert len(found) == 40


def test_strength_and_duration_are_those_of_the_scenario(tmp_path: Path) -> None:
    made = of_kind(tmp_path, "latency", CHAOS_MESH, strength=0.25, duration="'90s'").manifest or {}
    assert (made["spec"]["delay"]["latency"], made["spec"]["duration"]) == ("250ms", "90s")
    env = (of_kind(tmp_path, "loss", LITMUS, strength=0.3).manifest or {})["spec"]["experiments"][0]["spec"]
    assert {"name": "NETWORK_PACKET_LOSS_PERCENTAGE", "value": "30"} in env["components"]["env"]


def test_a_remark_names_what_is_different(tmp_path: Path) -> None:
    assert "every request fails" in of_kind(tmp_path, "errors", CHAOS_MESH).remarks[0]
    assert "No SIGSTOP" in of_kind(tmp_path, "stuck", CHAOS_MESH).remarks[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "site",
    [
        Site("shop\nkind: Secret"),
        Site("shop", label="app=web,tier"),
        Site("shop", label=""),
        Site("shop", label="a b"),
        Site("shop", volume="data"),
        Site("shop", volume="/data/"),
        Site("shop", volume="/data\n"),
    ],
)
def test_a_site_that_cannot_be_is_refused(tmp_path: Path, site: Site, engine: str) -> None:
    with pytest.raises(BadInput):
        of_kind(tmp_path, "stuck", engine, site=site)


def test_a_label_with_a_prefix_is_taken(tmp_path: Path) -> None:
    made = of_kind(tmp_path, "stuck", CHAOS_MESH, site=Site("shop", label="app.kubernetes.io/name")).manifest or {}
    assert made["spec"]["selector"]["labelSelectors"] == {"app.kubernetes.io/name": "cartservice"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_name_leaves_each_manifest_its_own(tmp_path: Path, engine: str) -> None:
    path = tmp_path / f"{'a' * 62}.toml"
    path.write_text("[[faults]]\nfault = 'latency'\ntarget = 'frontend'\n" * 2)
    made = manifests(Scenario.load_from(path), SITE, engine)
    names = [(one.manifest or {})["metadata"]["name"] for one in made]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)
