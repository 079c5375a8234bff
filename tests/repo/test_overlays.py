"""Kustomize: the deployed overlay gets the change, never a base that others share, and the build differs in resources.

Every case is built by the real kubectl before and after.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from mora.quantities import MIB
from mora.repo.changes import Plan, plan
from mora.repo.checkout import Checkout
from mora.repo.commits import write
from mora.repo.overlays import sites
from mora.repo.sites import Wanted, WriteOptions
from tests.repo.advice import advised
from tests.repo.conftest import MakeRepo, run_git
from tests.repo.manifests import deployment

NOW = "{requests: {cpu: 500m, memory: 64Mi}, limits: {cpu: '1', memory: 128Mi}}"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
BASE = deployment(namespace=None, resources=NOW).replace(
    "spec:\n  replicas", "  labels: {app: web}\nspec:\n  replicas", 1
)
BASE = BASE.replace(
    "  template:\n", "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
)
SMP = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
        - name: server  # ours
          resources:
            requests:
              cpu: 500m
            limits:
              memory: 128Mi
"""


def build(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def resources(built: list[dict[str, Any]]) -> dict[str, Any]:
    containers = [one["spec"]["template"]["spec"]["containers"][0] for one in built]
    return {
        one["metadata"]["name"]: container.get("resources") for one, container in zip(built, containers, strict=True)
    }


def rest(built: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Everything but resources and replicas."""
    found = json.loads(json.dumps(built))
    for one in found:
        one["spec"].pop("replicas", None)
        for container in one["spec"]["template"]["spec"]["containers"]:
            container.pop("resources", None)
    return list(found)


AFTER = {"requests": {"cpu": "254m", "memory": "228Mi"}, "limits": {"memory": "228Mi"}}


def change(top: Path, overlay: str, **options: bool) -> Plan:
    """Plan and write for `web` in the namespace shop, and check both builds of the overlay."""
    before = build(top / overlay)
    found = plan(Checkout(top), [advised()], options=WriteOptions(**options))
    write(found)
    after = build(top / overlay)
    assert rest(after) == rest(before)
    return found


def two_overlays(more: str = "", files: Mapping[str, str] | None = None, two: str = "test") -> dict[str, str]:
    """A base and its overlays production and staging. more: lines of the first one's kustomization."""
    return {
        "base/kustomization.yaml": KUSTOMIZATION + "resources:\n- web.yaml\n",
        "base/web.yaml": BASE,
        "production/kustomization.yaml": KUSTOMIZATION + f"namespace: shop\nresources:\n- ../base\n{more}",
        "staging/kustomization.yaml": KUSTOMIZATION + f"namespace: {two}\nresources:\n- ../base\n",
        **(files or {}),
    }


def test_a_base_of_one_overlay_is_where_its_numbers_are(make_repo: MakeRepo) -> None:
    files = two_overlays()
    files = {path: text for path, text in files.items() if "staging" not in path}
    top = make_repo(files)
    found = change(top, "production")
    assert list(found.texts) == ["base/web.yaml"]
    assert resources(build(top / "production")) == {"web": AFTER}
    assert run_git(top, "diff", "--numstat").split()[:2] == ["1", "1"]


def test_an_overlay_of_a_shared_base_gets_a_patch_and_the_other_stays(make_repo: MakeRepo) -> None:
    top = make_repo(two_overlays())
    other = build(top / "staging")
    found = change(top, "production")
    assert sorted(found.texts) == ["production/kustomization.yaml", "production/web-resources.yaml"]
    assert resources(build(top / "production")) == {"web": AFTER}
    assert build(top / "staging") == other
    assert found.checkout.skipped == {}, "a file that is made is none that cannot be read"
    again = plan(Checkout(top), [advised()])
    assert (again.changes, again.unchanged) == ((), ())


def test_the_base_is_changed_where_that_is_allowed(make_repo: MakeRepo) -> None:
    top = make_repo(two_overlays())
    found = change(top, "production", in_base=True)
    assert list(found.texts) == ["base/web.yaml"]
    assert resources(build(top / "staging")) == {"web": AFTER}


def test_a_shared_base_is_not_set_by_two_workloads(make_repo: MakeRepo) -> None:
    top = make_repo(two_overlays())
    other = advised(namespace="test")
    main = other.main
    from dataclasses import replace

    more = replace(
        other, containers=(replace(main, memory_request=replace(main.memory_request, value=999 * MIB)), *other.others)
    )
    found = plan(Checkout(top), [advised(), more], options=WriteOptions(in_base=True))
    assert "another workload that builds on the same base" in " ".join(one.reason for one in found.unchanged)


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ("patches:\n- path: web.yaml\n", {"production/web.yaml": SMP}),
        ("patchesStrategicMerge:\n- web.yaml\n", {"production/web.yaml": SMP}),
        ("patches:\n- target: {kind: Deployment, name: w.*}\n  patch: |-\n" + indent(SMP, "    "), {}),
        ("patchesStrategicMerge:\n- |\n" + indent(SMP, "  "), {}),
    ],
)
def test_a_patch_of_the_overlay_is_where_its_numbers_are(make_repo: MakeRepo, more: str, files: dict[str, str]) -> None:
    top = make_repo(two_overlays(more, files))
    other = build(top / "staging")
    found = change(top, "production")
    assert list(found.texts) == ["production/web.yaml" if files else "production/kustomization.yaml"]
    assert resources(build(top / "production")) == {"web": AFTER}
    assert build(top / "staging") == other
    removed = [
        line for line in run_git(top, "diff").splitlines() if line.startswith("-") and not line.startswith("---")
    ]
    assert len(removed) == 2  # the CPU request and the memory limit
    assert "# ours" in found.texts[next(iter(found.texts))]


CONTAINER = "/spec/template/spec/containers/0/resources"


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "replace", "path": CONTAINER, "value": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1}}}],
        [{"op": "add", "path": f"{CONTAINER}/requests/cpu", "value": "700m"}],
        [{"op": "replace", "path": f"{CONTAINER}/limits", "value": {"memory": "128Mi"}}],
    ],
)
@pytest.mark.parametrize("kind", ["file", "inline", "json"])
def test_operations_of_a_json_patch_are_where_numbers_are(
    make_repo: MakeRepo, operations: list[Any], kind: str
) -> None:
    target = "patches:\n- target: {kind: Deployment, name: web}\n"
    if kind == "file":
        more, files = f"{target}  path: web.yaml\n", {"production/web.yaml": yaml.safe_dump(operations)}
    elif kind == "inline":
        text = "".join(f"    {line}\n" for line in yaml.safe_dump(operations).splitlines())
        more, files = f"{target}  patch: |-\n{text}", {}
    else:
        more, files = (
            target.replace("patches", "patchesJson6902").replace("{", "{version: v1, group: apps, ")
            + f"  patch: '{json.dumps(operations)}'\n",
            {},
        )
    top = make_repo(two_overlays(more, files))
    other = build(top / "staging")
    found = change(top, "production")
    assert found.unchanged == () or all("JSON patch" in one.reason for one in found.unchanged)
    assert resources(build(top / "production")) == {"web": AFTER}
    assert build(top / "staging") == other


def test_names_prefixes_and_images_are_those_of_the_overlay(make_repo: MakeRepo) -> None:
    more = "namePrefix: eu-\nnameSuffix: -v2\nimages:\n- {name: shop/web, newName: mirror/web, newTag: '7'}\n"
    top = make_repo(two_overlays(more))
    (claim,) = [one.claim for one in sites(Checkout(top)) if one.claim.namespace == "shop"]
    assert (claim.name, claim.image) == ("eu-web-v2", "mirror/web:7")
    found = plan(Checkout(top), [advised("eu-web-v2")])
    write(found)
    assert resources(build(top / "production")) == {"eu-web-v2": AFTER}


def test_replicas_are_set_where_the_overlay_counts_them(make_repo: MakeRepo) -> None:
    top = make_repo(two_overlays("replicas:\n- {name: web, count: 3}\n"))
    found = change(top, "production")
    assert "count: 2" in found.texts["production/kustomization.yaml"]
    assert build(top / "production")[0]["spec"]["replicas"] == 2
    assert build(top / "staging")[0]["spec"]["replicas"] == 2


def test_a_component_that_several_overlays_use_is_not_changed(make_repo: MakeRepo) -> None:
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- path: web.yaml\n"
    files = two_overlays("components:\n- ../small\n", {"small/kustomization.yaml": component, "small/web.yaml": SMP})
    top = make_repo(files)
    assert list(change(top, "production").texts) == ["small/web.yaml"]
    run_git(top, "checkout", "--quiet", ".")
    (top / "staging" / "kustomization.yaml").write_text(
        files["staging/kustomization.yaml"] + "components:\n- ../small\n"
    )
    run_git(top, "commit", "--all", "--quiet", "--message", "Both")
    found = change(top, "production")
    assert sorted(found.texts) == ["production/kustomization.yaml", "production/web-resources.yaml"]
    assert resources(build(top / "production")) == {"web": AFTER}


def test_two_clusters_whose_overlays_are_alike_are_both_named(make_repo: MakeRepo) -> None:
    files = two_overlays(two="shop")
    found = plan(Checkout(make_repo(files)), [advised()])
    assert found.changes == ()
    assert "2 places fit equally: production/kustomization.yaml" in found.unchanged[0].reason
    assert "staging/kustomization.yaml" in found.unchanged[0].reason


def test_flux_and_argo_deploy_a_folder_and_patch_it(make_repo: MakeRepo) -> None:
    flux = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "metadata: {name: {name}, namespace: flux-system}\n"
        "spec:\n  path: ./apps/web\n  targetNamespace: {space}\n  prune: true\n"
    )
    top = make_repo(
        {
            "apps/web/kustomization.yaml": KUSTOMIZATION + "resources: [web.yaml]\n",
            "apps/web/web.yaml": BASE,
            "clusters/a.yaml": flux.replace("{name}", "a").replace("{space}", "shop"),
            "clusters/b.yaml": flux.replace("{name}", "b").replace("{space}", "test"),
        }
    )
    found = plan(Checkout(top), [advised()])
    assert list(found.texts) == ["clusters/a.yaml"]
    patch = yaml.safe_load(found.texts["clusters/a.yaml"])["spec"]["patches"]
    assert [one["target"] for one in patch] == [{"kind": "Deployment", "name": "web"}]
    assert (
        yaml.safe_load(patch[0]["patch"])["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        == "254m"
    )
    assert found.texts["clusters/a.yaml"].startswith(flux.replace("{name}", "a").replace("{space}", "shop"))


def test_a_patch_of_a_base_that_is_elsewhere_is_a_place(make_repo: MakeRepo) -> None:
    remote = (
        KUSTOMIZATION + "namespace: shop\nresources: [https://example.org/web?ref=v1]\npatches: [{path: web.yaml}]\n"
    )
    top = make_repo({"kustomization.yaml": remote, "web.yaml": SMP})
    found = plan(Checkout(top), [advised()])
    assert sorted(found.texts) == ["kustomization.yaml", "web-resources.yaml", "web.yaml"]
    assert yaml.safe_load(found.texts["web-resources.yaml"])["spec"] == {"replicas": 2}  # no file here sets them
    assert "{path: web-resources.yaml, target: {kind: Deployment, name: web}}" in found.texts["kustomization.yaml"]
    assert "cpu: 254m" in found.texts["web.yaml"]
    assert "cpu: null" not in found.texts["web.yaml"]


def test_a_kustomization_that_builds_on_itself_ends(make_repo: MakeRepo) -> None:
    loop = KUSTOMIZATION + "resources: [../b, ../a]\n"
    assert list(sites(Checkout(make_repo({"a/kustomization.yaml": loop, "b/kustomization.yaml": loop})))) == []


COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"


def test_a_component_gives_its_namespace_and_names_to_all_that_is_there(make_repo: MakeRepo) -> None:
    europe = f"{COMPONENT}namespace: shop\nnamePrefix: eu-\ncommonLabels: {{zone: eu}}\n"
    files = two_overlays(files={"eu/kustomization.yaml": europe, "all/kustomization.yaml": COMPONENT})
    files["production/kustomization.yaml"] = KUSTOMIZATION + "resources:\n- ../base\ncomponents:\n- ../all\n"
    files["all/kustomization.yaml"] += "components:\n- ../eu\n"
    top = make_repo(files)
    claims = [one.claim for one in sites(Checkout(top))]
    found = [(one.name, one.namespace, one.labels.get("zone")) for one in claims]
    assert found == [("eu-web", "shop", "eu"), ("web", "test", None)]
    before = build(top / "production")
    write(plan(Checkout(top), [advised("eu-web")]))
    assert resources(build(top / "production")) == {"eu-web": AFTER}
    assert rest(build(top / "production")) == rest(before)


MESH = """\
- op: add
  path: /spec/template/spec/containers/-
  value:
    name: proxy
    image: mesh/proxy:1
    resources: {requests: {cpu: 250m, memory: 64Mi}}
- op: add
  path: /spec/template/spec/containers/0
  value: {name: first, image: mesh/first:1}
- op: replace
  path: /spec/template/spec/containers/1/resources/limits/cpu
  value: '2'
"""


def test_a_container_that_an_operation_adds_has_its_numbers_there(make_repo: MakeRepo) -> None:
    more = "patches:\n- {path: mesh.yaml, target: {kind: Deployment}}\n"
    top = make_repo(two_overlays(more, {"production/mesh.yaml": MESH}))
    found = {one.claim.container: one for one in sites(Checkout(top)) if one.claim.namespace == "shop"}
    proxy = found["proxy"]
    assert (proxy.file, proxy.claim.image) == ("production/mesh.yaml", "mesh/proxy:1")
    assert proxy.written == {("requests", "cpu"): "250m", ("requests", "memory"): "64Mi"}
    assert found["server"].written["limits", "cpu"] == "2"
    assert found["first"].written == {}


def test_an_operation_may_rename_an_object(make_repo: MakeRepo) -> None:
    rename = "- {op: replace, path: /metadata/name, value: till}\n- {op: add, path: /metadata/namespace, value: shop}\n"
    more = "patches:\n- {path: rename.yaml, target: {kind: Deployment, name: web}}\n"
    files = two_overlays(more, {"production/rename.yaml": rename})
    files["production/kustomization.yaml"] = files["production/kustomization.yaml"].replace("namespace: shop\n", "")
    top = make_repo(files)
    before = build(top / "production")
    write(plan(Checkout(top), [advised("till")]))
    assert resources(build(top / "production")) == {"till": AFTER}
    assert rest(build(top / "production")) == rest(before)
    assert resources(build(top / "staging"))["web"]["requests"]["cpu"] == "500m"


TWO_MORE = """\
      initContainers:
        - {name: wait, image: shop/wait:1}
        - {name: migrate, image: shop/migrate:1, resources: {requests: {cpu: 100m}}}
      containers:
        - {name: log, image: shop/log:1}
"""


@pytest.mark.parametrize("is_init", [False, True])
def test_a_new_patch_keeps_the_order_of_the_containers(make_repo: MakeRepo, is_init: bool) -> None:
    base = BASE.replace("      containers:\n", TWO_MORE)
    if is_init:
        base = base.replace("name: migrate", "name: server").replace("- name: server\n", "- name: web\n")
    top = make_repo(two_overlays(files={"base/web.yaml": base}))
    before = build(top / "production")
    found = next(
        one for one in sites(Checkout(top)) if one.claim.container == "server" and one.claim.namespace == "shop"
    )
    assert found.writer is not None
    texts = found.writer(Checkout(top), {}, found, Wanted({("requests", "cpu"): "254m"}), WriteOptions())
    for path, text in texts.items():
        (top / path).write_text(text)
    after = build(top / "production")
    pod, old = after[0]["spec"]["template"]["spec"], before[0]["spec"]["template"]["spec"]
    for key in ("initContainers", "containers"):
        assert [one["name"] for one in pod[key]] == [one["name"] for one in old[key]]
    (server,) = [one for key in ("initContainers", "containers") for one in pod[key] if one["name"] == "server"]
    assert server["resources"]["requests"]["cpu"] == "254m"


def test_a_patch_that_lists_containers_puts_them_first(make_repo: MakeRepo) -> None:
    base = BASE.replace("      containers:\n", TWO_MORE)
    reorder = SMP.replace("spec:\n  template", "spec:\n  replicas: 2\n  template", 1)
    operation = "- op: replace\n  path: /spec/template/spec/containers/1/resources\n  value: {requests: {cpu: 7m}}\n"
    more = "patches:\n- path: first.yaml\n- {path: log.yaml, target: {kind: Deployment}}\n"
    files = {"base/web.yaml": base, "production/first.yaml": reorder, "production/log.yaml": operation}
    top = make_repo(two_overlays(more, files))
    built = build(top / "production")[0]["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in built] == ["server", "log"]
    found = {one.claim.container: one for one in sites(Checkout(top)) if one.claim.namespace == "shop"}
    assert found["log"].written == {("requests", "cpu"): "7m"}
