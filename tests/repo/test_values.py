"""Which values set the resources of containers, and that a change of one touches nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.repo import helm
from mora.repo.checkout import Checkout
from mora.repo.sites import Site
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, fields, live, site_of

CHART = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"


def sites(top: Path) -> dict[str, Site]:
    return {str(site.address): site for site in helm.sites(Checkout(top))}


def values(make_repo: MakeRepo, text: str) -> dict[str, Site]:
    return sites(make_repo({"Chart.yaml": CHART, "values.yaml": text}))


def test_storage_is_not_resources_and_what_is_off_is_none(make_repo: MakeRepo) -> None:
    text = """\
web: {resources: {requests: {cpu: 1}}}
empty: {resources: {}}
initResources: {limits: {memory: 1Gi}}
db: {enabled: false, resources: {requests: {cpu: 1}}}
persistence: {resources: {requests: {storage: 1Gi}}}
disk: {resources: {requests: {storage: 1Gi}}}
labels: {kubernetesResources: {team: a}}
rules: {resources: [pods]}
resources: {operator: {requests: {cpu: 1}}, webhooks: {limits: {memory: 1Gi}}, other: {a: b}}
"""
    found = ["web.resources", "empty.resources", "initResources", "resources.operator", "resources.webhooks"]
    assert list(values(make_repo, text)) == found


def test_containers_in_lists_are_known_by_their_names(make_repo: MakeRepo) -> None:
    text = """\
extraContainers:
  - {name: proxy, image: shop/proxy, resources: {requests: {cpu: 1}}}
initContainers:
  - {name: setup, resources: {requests: {cpu: 1}}}
workers:
  - {name: a, resources: {requests: {cpu: 1}}}
"""
    claims = {key: (site.claim.container, site.claim.is_init) for key, site in values(make_repo, text).items()}
    assert claims == {
        "extraContainers[0].resources": ("proxy", False),
        "initContainers[0].resources": ("setup", True),
        "workers[0].resources": (None, None),
    }


def test_replicas_beside_the_resources_are_theirs(make_repo: MakeRepo) -> None:
    found = values(make_repo, "web: {replicaCount: 3, resources: {requests: {cpu: 1}}}\n")["web.resources"]
    assert (str(found.replicas), found.written_replicas) == ("web.replicaCount", "3")


def test_the_defaults_of_app_template_become_the_container_s_own(make_repo: MakeRepo) -> None:
    text = """\
defaultContainerOptions:
  resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 64Mi}}
controllers:
  web:
    replicas: 2
    containers:
      app:
        image: {repository: shop/web, tag: 1}
      other:
        image: {repository: shop/other, tag: 1}
"""
    top = make_repo({"Chart.yaml": CHART, "values.yaml": text})
    site = site_of(top, live("web", container("app", "10m 64Mi", "- 64Mi", image="shop/web:1"), release="shop"))
    assert site.written_replicas == "2"
    assert changed(top, site, fields(requests_cpu="137m"))["values.yaml"] == [
        "+        resources:",
        "+          requests:",
        "+            cpu: 137m",
        "+            memory: 64Mi",
        "+          limits:",
        "+            memory: 64Mi",
    ]


keys = st.sampled_from(["web", "api", "a-b", "nodeExporter"])
amounts = st.fixed_dictionaries(
    {"cpu": st.sampled_from(["100m", '"1"', "0.5"]), "memory": st.sampled_from(["1Gi", "'64Mi'"])}
)


@given(st.lists(st.tuples(keys, amounts, st.booleans(), st.sampled_from(["\n", "\r\n"])), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_change_of_any_site_touches_its_own_lines_alone(
    tmp_path_factory: object, parts: list[tuple[str, dict[str, str], bool, str]]
) -> None:
    top = tmp_path_factory.mktemp("chart")  # type: ignore[attr-defined]
    end = parts[0][3]
    lines = ["# values", ""]
    for number, (key, amount, is_flow, _) in enumerate(parts):
        lines.append(f"{key}{number}:  # of {key}")
        if is_flow:
            lines.append(f"    resources: {{requests: {{cpu: {amount['cpu']}, memory: {amount['memory']}}}}} # flow")
        else:
            lines += ["    resources:", "        # why", "        requests:"]
            lines += [f"            {name}: {value}  # now" for name, value in amount.items()]
        lines.append("")
    (top / "Chart.yaml").write_text(CHART, encoding="utf-8")
    (top / "values.yaml").write_bytes(end.join(lines).encode())
    found = sites(top)
    assert len(found) == len(parts)
    for key, site in found.items():
        after = changed(top, site)["values.yaml"]
        removed = [line[1:] for line in after if line.startswith("-")]
        assert all(line in lines for line in removed), (key, after)
        assert [re.sub(r"137m|321Mi|[0-9.]+m?i?|Gi|Mi|['\"]", "", line[1:]) for line in after if line[0] == "+"] == [
            re.sub(r"[0-9.]+m?i?|Gi|Mi|['\"]", "", line) for line in removed
        ]
