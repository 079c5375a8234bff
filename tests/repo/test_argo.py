"""Applications of Argo CD, and those of application sets: values in them, beside their charts, and parameters."""

from __future__ import annotations

import pytest

from mora.repo.argo import releases
from mora.repo.checkout import Checkout
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, fields, live, placed, site_of

WEB = live(
    "shop-web",
    container("web", "100m 128Mi", "- 256Mi", image="ghcr.io/shop/web:1"),
    release="shop",
    labels={"app.kubernetes.io/component": "web"},
)
VALUES = """\
web:
  image: {repository: ghcr.io/shop/web}
  host: shop.{{ .Values.domain }}
  resources:
    # a comment
    requests:
      cpu: "100m"
      memory: 128Mi
    limits:
      memory: 256Mi
"""
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
spec:
  template:
    spec:
      containers:
        - name: web
          image: "{{ .Values.web.image.repository }}:1"
          resources: {{- toYaml .Values.web.resources | nindent 12 }}
"""
CHART = {
    "charts/shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "charts/shop/values.yaml": VALUES,
    "charts/shop/templates/web.yaml": TEMPLATE,
}


def application(helm: str, *, source: str = "path: charts/shop", name: str = "shop", kind: str = "Application") -> str:
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"
        "  destination: {namespace: shop, name: in-cluster}\n"
        f"  source:\n    repoURL: https://git.example.org/shop.git\n    {source}\n{helm}"
    )


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def test_a_text_of_values_is_changed_within(make_repo: MakeRepo) -> None:
    top = make_repo(
        {"app.yaml": application("    helm:\n      values: |\n" + indented(VALUES, 8), source="chart: shop")}
    )
    site = site_of(top, WEB)
    assert site.where == "app.yaml:15 (spec.source.helm.values > web.resources)"
    assert changed(top, site, fields(requests_cpu="137m", limits_memory=None)) == {
        "app.yaml": [
            '-              cpu: "100m"',
            '+              cpu: "137m"',
            "-              memory: 256Mi",
            "+              memory: null",
        ]
    }


def test_a_values_object_is_changed(make_repo: MakeRepo) -> None:
    top = make_repo(
        {"app.yaml": application("    helm:\n      valuesObject:\n" + indented(VALUES, 8), source="chart: shop")}
    )
    site = site_of(top, WEB)
    assert str(site.address) == "spec.source.helm.valuesObject.web.resources"
    assert changed(top, site, fields(requests_cpu="137m")) == {
        "app.yaml": ['-              cpu: "100m"', '+              cpu: "137m"']
    }


def test_the_last_file_of_values_that_sets_them_is_changed(make_repo: MakeRepo) -> None:
    app = application("    helm:\n      valueFiles: [values.yaml, values-prod.yaml, missing.yaml]\n")
    prod = "web:\n  resources:\n    requests: {cpu: 100m, memory: 128Mi}\n"
    files = {**CHART, "app.yaml": app, "charts/shop/values-prod.yaml": prod, "charts/shop/values-dev.yaml": prod}
    files["charts/shop/values.yaml"] = VALUES.replace("100m", "500m")
    site = site_of(make_repo(files), WEB)
    assert site.where == "charts/shop/values-prod.yaml:2 (web.resources)"


def test_a_chart_that_one_application_installs_is_changed_in_its_own_values(make_repo: MakeRepo) -> None:
    site = site_of(make_repo({**CHART, "app.yaml": application("")}), WEB)
    assert site.where == "charts/shop/values.yaml:4 (web.resources)"


def test_a_chart_that_two_applications_install_is_left_and_the_application_is_changed(make_repo: MakeRepo) -> None:
    bank = application("", name="bank").replace("namespace: shop", "namespace: bank")
    top = make_repo({**CHART, "shop.yaml": application("    helm: {releaseName: shop}\n"), "bank.yaml": bank})
    site = site_of(top, WEB)
    assert (site.file, str(site.address)) == ("shop.yaml", "spec.source.helm.valuesObject.web.resources")
    assert list(changed(top, site)) == ["shop.yaml"]
    assert list(changed(top, site, in_base=True)) == ["charts/shop/values.yaml"]


def test_files_of_values_from_another_source_are_found_from_the_top(make_repo: MakeRepo) -> None:
    app = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop}
spec:
  destination: {namespace: shop}
  sources:
    - {repoURL: https://charts.example.org, chart: shop, helm: {valueFiles: [$values/config/shop.yaml]}}
    - {repoURL: https://git.example.org/shop.git, ref: values}
"""
    site = site_of(make_repo({"app.yaml": app, "config/shop.yaml": VALUES.replace("{{ .Values.domain }}", "org")}), WEB)
    assert site.where == "config/shop.yaml:4 (web.resources)"


def test_a_parameter_wins_over_every_file(make_repo: MakeRepo) -> None:
    helm = """\
    helm:
      parameters:
        - {name: web.resources.requests.cpu, value: 100m}
      values: |
        web: {resources: {requests: {cpu: 700m, memory: 128Mi}, limits: {memory: 256Mi}}}
"""
    top = make_repo({"app.yaml": application(helm, source="chart: shop")})
    assert changed(top, site_of(top, WEB)) == {
        "app.yaml": [
            "-        - {name: web.resources.requests.cpu, value: 100m}",
            "+        - {name: web.resources.requests.cpu, value: 137m}",
            "-        web: {resources: {requests: {cpu: 700m, memory: 128Mi}, limits: {memory: 256Mi}}}",
            "+        web: {resources: {requests: {cpu: 700m, memory: 321Mi}, limits: {memory: 256Mi}}}",
        ]
    }


def test_a_parameter_and_values_in_different_files_are_both_changed(make_repo: MakeRepo) -> None:
    helm = "    helm:\n      parameters:\n        - name: web.resources.requests.cpu\n          value: 100m\n"
    top = make_repo({**CHART, "app.yaml": application(helm)})
    assert changed(top, site_of(top, WEB)) == {
        "app.yaml": ["-          value: 100m", "+          value: 137m"],
        "charts/shop/values.yaml": ["-      memory: 128Mi", "+      memory: 321Mi"],
    }


SET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: all}}
spec:
  generators:
{generators}
  template:
    metadata: {{name: '{name}'}}
    spec:
      destination: {{namespace: '{name}'}}
      source: {{repoURL: https://git.example.org/shop.git, path: '{path}'}}
"""


@pytest.mark.parametrize(
    ("generators", "name", "path"),
    [
        (
            "    - git: {directories: [{path: apps/*}, {path: apps/bank, exclude: true}]}",
            "{{path.basename}}",
            "{{path}}",
        ),
        ("    - git: {directories: [{path: apps/*}]}", "{{ .path.basename }}", "{{ .path.path }}"),
        ("    - list: {elements: [{app: shop}, {app: bank}]}", "{{app}}", "apps/{{app}}"),
        (
            "    - matrix:\n        generators:\n          - list: {elements: [{app: shop}]}\n          - clusters: {}",
            "{{ .app }}",
            "apps/{{ .app }}",
        ),
        ("    - git: {files: [{path: 'apps/*/config.json'}]}", "{{app.name}}", "apps/{{app.name}}"),
    ],
)
def test_a_set_makes_an_application_of_every_chart(make_repo: MakeRepo, generators: str, name: str, path: str) -> None:
    files = {"set.yaml": SET.format(generators=generators, name=name, path=path)}
    for app in ("shop", "bank"):
        files[f"apps/{app}/Chart.yaml"] = f"apiVersion: v2\nname: {app}\nversion: 1.0.0\n"
        files[f"apps/{app}/values.yaml"] = VALUES
        files[f"apps/{app}/config.json"] = f'{{"app": {{"name": "{app}"}}}}\n'
    site = site_of(make_repo(files), WEB)
    assert site.where == "apps/shop/values.yaml:4 (web.resources)"
    assert site.claim.release == "shop"


def test_a_matrix_of_more_than_any_set_has_ends(make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mora.repo.argo._MOST", 20)
    lists = "".join(
        f"          - list: {{elements: [{', '.join(f'{{k{n}: {e}}}' for e in range(200))}]}}\n" for n in range(5)
    )
    text = SET.format(generators=f"    - matrix:\n        generators:\n{lists}", name="a{{k0}}", path="apps/shop")
    chart = {path.replace("charts", "apps"): text for path, text in CHART.items()}
    found = list(releases(Checkout(make_repo({"set.yaml": text, **chart}))))
    assert [release.name for release, _ in found] == ["a0"] * 20


def test_a_text_of_values_that_is_a_template_itself_is_named(make_repo: MakeRepo) -> None:
    top = make_repo(
        {"app.yaml": application("    helm:\n      values: |\n        web: {{ .web }}\n", source="chart: shop")}
    )
    checkout = Checkout(top)
    from mora.repo import helm

    assert list(helm.sites(checkout)) == []
    assert "it is a template ({{ }})" in checkout.skipped["app.yaml (spec.source.helm.values)"]


def test_a_file_of_values_outside_of_the_repository_is_not_read(make_repo: MakeRepo) -> None:
    app = application("    helm:\n      valueFiles: [../../../elsewhere.yaml]\n")
    top = make_repo({**CHART, "app.yaml": app})
    (top.parent / "elsewhere.yaml").write_text(VALUES, encoding="utf-8")
    assert site_of(top, WEB).file == "charts/shop/values.yaml"
    assert placed(top, WEB)[0].others == ()
