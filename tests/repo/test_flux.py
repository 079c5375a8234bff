"""HelmReleases of Flux: values where they are declared, in config maps, in patches of overlays."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.domain import WorkloadState
from mora.repo import helm
from mora.repo.addresses import Shared
from mora.repo.changes import plan
from mora.repo.checkout import Checkout
from tests.repo.advice import advised
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, fields, live, placed, site_of

APP_TEMPLATE = """\
# yaml-language-server: $schema=https://example.org/helmrelease.json
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: &app shop
spec:
  chartRef:
    kind: OCIRepository
    name: app-template
  values:
    controllers:
      web:
        containers:
          app:
            image: {repository: ghcr.io/shop/web, tag: 1.2.3}
            env:
              URL: "http://{{ .Release.Name }}"
            resources:
              requests: {cpu: 100m, memory: 128Mi}  # measured in March
              limits: {memory: 256Mi}
      worker:
        type: statefulset
        containers:
          app:
            image: {repository: ghcr.io/shop/worker, tag: 1.2.3}
            resources:
              requests: {cpu: 100m, memory: 128Mi}
              limits: {memory: 256Mi}
          bare:
            nameOverride: helper
            image: {repository: ghcr.io/shop/helper, tag: 1.2.3}
        initContainers:
          app-init:
            image: {repository: ghcr.io/shop/web, tag: 1.2.3}
      gone:
        enabled: false
        containers:
          app:
            image: {repository: ghcr.io/shop/web, tag: 1.2.3}
            resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    summary: The host {{ $labels.instance }} is gone
"""
WEB = live(
    "shop-web",
    container("app", "100m 128Mi", "- 256Mi", image="ghcr.io/shop/web:1.2.3"),
    release="shop",
    labels={"app.kubernetes.io/controller": "web"},
)
WORKER = live(
    "shop-worker",
    container("app", "100m 128Mi", "- 256Mi", image="ghcr.io/shop/worker:1.2.3"),
    container("helper", image="ghcr.io/shop/helper:1.2.3"),
    container("app-init", image="ghcr.io/shop/web:1.2.3", is_init=True),
    kind="StatefulSet",
    release="shop",
    labels={"app.kubernetes.io/controller": "worker"},
)


def test_the_containers_of_app_template_are_found_by_controller_and_container(make_repo: MakeRepo) -> None:
    top = make_repo({"apps/shop/release.yaml": APP_TEMPLATE})
    found = placed(top, WEB, WORKER)
    assert [None if one.site is None else str(one.site.address) for one in found] == [
        "spec.values.controllers.web.containers.app.resources",
        "spec.values.controllers.worker.containers.app.resources",
        "spec.values.controllers.worker.containers.bare.resources",
        "spec.values.controllers.worker.initContainers.app-init.resources",
    ]
    assert found[0].site is not None
    assert changed(top, found[0].site) == {
        "apps/shop/release.yaml": [
            "-              requests: {cpu: 100m, memory: 128Mi}  # measured in March",
            "+              requests: {cpu: 137m, memory: 321Mi}  # measured in March",
        ]
    }


def test_a_container_of_app_template_without_resources_gets_them(make_repo: MakeRepo) -> None:
    top = make_repo({"apps/shop/release.yaml": APP_TEMPLATE})
    site = placed(top, WORKER)[1].site
    assert site is not None
    assert changed(top, site) == {
        "apps/shop/release.yaml": [
            "+            resources:",
            "+              requests:",
            "+                cpu: 137m",
            "+                memory: 321Mi",
        ]
    }


def test_another_release_of_the_same_containers_is_ruled_out(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": APP_TEMPLATE, "b.yaml": APP_TEMPLATE.replace("&app shop", "bank")})
    assert site_of(top, WEB).file == "a.yaml"


CHART = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cert-manager
spec:
  chart:
    spec: {chart: cert-manager, sourceRef: {kind: HelmRepository, name: jetstack}}
  targetNamespace: certs
  releaseName: cert-manager
"""
VALUES = """\
resources:
  requests: {cpu: 20m, memory: 128Mi}
webhook:
  resources:
    requests: {cpu: 20m, memory: 64Mi}
"""
CONTROLLER = live(
    "cert-manager",
    container("cert-manager-controller", "20m 128Mi", "- 512Mi"),
    namespace="certs",
    release="cert-manager",
    labels={"helm.sh/chart": "cert-manager-v1.2.3", "app.kubernetes.io/component": "controller"},
)
WEBHOOK = live(
    "cert-manager-webhook",
    container("cert-manager-webhook", "20m 64Mi"),
    namespace="certs",
    release="cert-manager",
    labels={"helm.sh/chart": "cert-manager-v1.2.3", "app.kubernetes.io/component": "webhook"},
)


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def test_keys_of_any_chart_lead_to_its_containers(make_repo: MakeRepo) -> None:
    top = make_repo({"release.yaml": CHART + "  values:\n" + indented(VALUES, 4)})
    found = placed(top, CONTROLLER, WEBHOOK)
    addresses = [None if one.site is None else str(one.site.address) for one in found]
    assert addresses == ["spec.values.resources", "spec.values.webhook.resources"]
    assert "the chart's own resources" in found[0].evidence
    assert "keys webhook" in found[1].evidence


def test_keys_that_set_other_numbers_than_todays_lead_nowhere(make_repo: MakeRepo) -> None:
    top = make_repo({"release.yaml": CHART + "  values:\n" + indented(VALUES, 4)})
    other = live(
        "cert-manager-webhook", container("cert-manager-webhook", "30m 64Mi"), namespace="certs", release="cert-manager"
    )
    assert placed(top, other)[0].site is None


def test_one_value_that_may_set_two_containers_is_changed_for_neither(make_repo: MakeRepo) -> None:
    top = make_repo({"release.yaml": CHART + "  values:\n    resources: {requests: {cpu: 20m, memory: 128Mi}}\n"})
    proxy = live(
        "cert-manager",
        *CONTROLLER.containers,
        container("proxy", "20m 128Mi"),
        namespace="certs",
        release="cert-manager",
    )
    found = placed(top, proxy)
    assert [one.site for one in found] == [None, None]
    assert "may set the resources of several containers alike: certs/cert-manager" in found[0].reason
    assert "cert-manager-controller, certs/cert-manager proxy" in found[0].reason


def test_a_limit_that_only_the_chart_sets_is_removed_by_null(make_repo: MakeRepo) -> None:
    top = make_repo({"release.yaml": CHART + "  values:\n" + indented(VALUES, 4)})
    lines = changed(top, site_of(top, WEBHOOK), fields(limits_memory=None))
    assert lines == {"release.yaml": ["+        limits:", "+          memory: null"]}


def test_values_from_a_config_map_are_changed_in_it(make_repo: MakeRepo) -> None:
    release = CHART + "  valuesFrom:\n    - kind: ConfigMap\n      name: cert-manager-values\n"
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cert-manager-values\ndata:\n  values.yaml: |\n"
    top = make_repo({"release.yaml": release, "values.yaml": config + indented(VALUES, 4)})
    site = site_of(top, WEBHOOK)
    assert site.where == "values.yaml:10 (data.values.yaml > webhook.resources)"
    assert changed(top, site) == {
        "values.yaml": [
            "-        requests: {cpu: 20m, memory: 64Mi}",
            "+        requests: {cpu: 137m, memory: 321Mi}",
        ]
    }


def test_values_from_a_generated_config_map_are_changed_in_its_file(make_repo: MakeRepo) -> None:
    release = CHART + "  valuesFrom:\n    - {kind: ConfigMap, name: cert-manager-values, valuesKey: values.yaml}\n"
    kustomization = (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [release.yaml]\n"
        "configMapGenerator:\n  - name: cert-manager-values\n    files: [values.yaml=helm/values.yaml]\n"
        "configurations: [name.yaml]\n"
    )
    top = make_repo({"a/release.yaml": release, "a/kustomization.yaml": kustomization, "a/helm/values.yaml": VALUES})
    assert site_of(top, WEBHOOK).where == "a/helm/values.yaml:4 (webhook.resources)"


def test_what_the_release_sets_itself_wins_over_a_config_map(make_repo: MakeRepo) -> None:
    release = CHART + "  valuesFrom:\n    - {kind: ConfigMap, name: values}\n"
    release += "  values:\n    webhook: {resources: {requests: {memory: 64Mi}}}\n"
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: values\ndata:\n  values.yaml: |\n"
    top = make_repo({"release.yaml": release, "values.yaml": config + indented(VALUES.replace("64Mi", "32Mi"), 4)})
    site = site_of(top, WEBHOOK)
    assert (site.file, str(site.address)) == ("release.yaml", "spec.values.webhook.resources")
    assert site.written == {("requests", "cpu"): "20m", ("requests", "memory"): "64Mi"}


def test_a_secret_is_never_read_for_values(make_repo: MakeRepo) -> None:
    release = CHART + "  valuesFrom:\n    - {kind: Secret, name: cert-manager-values}\n"
    secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: cert-manager-values\nstringData:\n  values.yaml: |\n"
    top = make_repo({"release.yaml": release, "secret.yaml": secret + indented(VALUES, 4)})
    assert placed(top, WEBHOOK)[0].site is None


def overlay(value: str) -> str:
    return (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: cert-manager\nspec:\n  values:\n"
        f"    webhook:\n      replicas: {value}\n"
    )


def test_a_base_that_two_overlays_patch_is_left_and_the_overlay_is_changed(make_repo: MakeRepo) -> None:
    files = {
        "base/release.yaml": CHART + "  values:\n" + indented(VALUES, 4),
        "production/values.yaml": overlay("3"),
        "staging/values.yaml": overlay("1"),
        **{
            f"{name}/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"namespace: {name}\nresources: [../base]\npatches: [{{path: values.yaml}}]\n"
            for name in ("production", "staging")
        },
    }
    for name in ("base/release.yaml",):
        files[name] = files[name].replace("  targetNamespace: certs\n", "")
    top = make_repo(files)
    webhook = live("cert-manager-webhook", *WEBHOOK.containers, namespace="production", release="cert-manager")
    site = site_of(top, webhook)
    assert (site.file, str(site.address)) == ("production/values.yaml", "spec.values.webhook.resources")
    assert changed(top, site) == {
        "production/values.yaml": [
            "+      resources:",
            "+        requests:",
            "+          cpu: 137m",
            "+          memory: 321Mi",
        ]
    }
    assert list(changed(top, site, in_base=True)) == ["base/release.yaml"]


def test_a_recommendation_removes_a_limit_that_only_the_chart_sets(make_repo: MakeRepo) -> None:
    release = CHART.replace("cert-manager", "web").replace("certs", "shop")
    release += "  values:\n    resources: {requests: {cpu: 500m, memory: 64Mi}, limits: {memory: 128Mi}}\n"
    top = make_repo({"release.yaml": release})
    recommendation = advised()
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "web"}
    state = WorkloadState(recommendation.workload, recommendation.current, labels=labels)
    found = plan(Checkout(top), [recommendation], [state])
    assert found.texts["release.yaml"].splitlines()[-1].strip() == (
        "resources: {requests: {cpu: 254m, memory: 228Mi}, limits: {memory: 228Mi, cpu: null}}"
    )


def test_an_anchor_of_two_containers_is_split_where_that_is_allowed(make_repo: MakeRepo) -> None:
    release = (
        CHART
        + """\
  values:
    controllers:
      web:
        containers:
          app:
            image: {repository: shop/web, tag: 1}
            resources: &same
              requests: {cpu: 20m, memory: 64Mi}
          sync:
            image: {repository: shop/sync, tag: 1}
            resources: *same
"""
    )
    top = make_repo({"release.yaml": release})
    sync = live("web", container("sync", "20m 64Mi", image="shop/sync:1"), namespace="certs", release="cert-manager")
    site = site_of(top, sync)
    with pytest.raises(Shared, match="the anchor &same"):
        changed(top, site)
    assert changed(top, site, split_anchors=True) == {
        "release.yaml": [
            "-            resources: *same",
            "+            resources:",
            "+              requests: {cpu: 137m, memory: 321Mi}",
        ]
    }


@pytest.mark.parametrize("outside", ["../elsewhere.yaml", "{}/elsewhere.yaml"])
def test_a_file_of_values_outside_of_the_repository_is_not_read(
    make_repo: MakeRepo, tmp_path: Path, outside: str
) -> None:
    values = "web:\n  resources:\n    requests: {cpu: 100m}\n"
    release = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: shop}
spec:
  chart:
    spec:
      chart: ./chart
      sourceRef: {kind: GitRepository, name: shop}
"""
    release += f"      valuesFiles: [chart/values.yaml, {outside.format(tmp_path)}]\n"
    chart = {"chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "chart/values.yaml": values}
    top = make_repo({"release.yaml": release, **chart})
    (tmp_path / "elsewhere.yaml").write_text(values)
    assert [site.file for site in helm.sites(Checkout(top))] == ["chart/values.yaml"]
