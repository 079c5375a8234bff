"""Charts in the checkout that nothing installs: whoever does names the release, so that other evidence must lead."""

from __future__ import annotations

from mora.repo.charts import chart_at
from mora.repo.checkout import Checkout
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, live, placed, site_of

TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Values.frontend.name }}
spec:
  template:
    spec:
      containers:
        - name: server
          image: "{{ .Values.images.repository }}/{{ .Values.frontend.name }}"
          env:
            - name: PORT
              value: "80"
          resources:
            {{- toYaml .Values.frontend.resources | nindent 12 }}
"""
VALUES = """\
images: {repository: ghcr.io/shop}
frontend:
  name: frontend
  resources:
    requests: {cpu: 100m, memory: 64Mi}
cart:
  name: cart
  resources:
    requests: {cpu: 100m, memory: 64Mi}
"""
BOUTIQUE = {
    "chart/Chart.yaml": "apiVersion: v2\nname: boutique\nversion: 1.0.0\n",
    "chart/values.yaml": VALUES,
    "chart/templates/frontend.yaml": TEMPLATE,
    "chart/templates/cart.yaml": TEMPLATE.replace("frontend", "cart"),
}


def test_templates_say_whose_a_value_is_though_they_are_never_parsed(make_repo: MakeRepo) -> None:
    top = make_repo(BOUTIQUE)
    found = placed(top, live("cart", container("server", "100m 64Mi")), live("frontend", container("server", "1 64Mi")))
    addresses = [None if one.site is None else str(one.site.address) for one in found]
    assert addresses == ["cart.resources", "frontend.resources"]
    assert found[0].evidence[:2] == ("Deployment cart", "container server")
    checkout = Checkout(top)
    assert checkout.documents("chart/templates/cart.yaml") == []


UMBRELLA = {
    "Chart.yaml": "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n"
    "  - {name: redis, version: 1.x, repository: https://charts.example.org}\n"
    "  - {name: web, alias: shop, version: 1.x, repository: file://../web}\n",
    "values.yaml": "redis:\n  master: {resources: {requests: {cpu: 50m, memory: 32Mi}}}\n"
    "ledger: {resources: {requests: {cpu: 70m}}}\n",
    "charts/ledger/Chart.yaml": "apiVersion: v2\nname: ledger\nversion: 1.0.0\n",
    "charts/ledger/values.yaml": "resources:\n  requests: {cpu: 10m, memory: 16Mi}\n",
}
WEB = {
    "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "web/values.yaml": "resources:\n  requests: {cpu: 20m, memory: 24Mi}\n",
}


def umbrella() -> dict[str, str]:
    return {f"platform/{path}": text for path, text in UMBRELLA.items()} | WEB


def of_chart(name: str, chart: str, requests: str, *, release: str = "prod") -> object:
    labels = {"helm.sh/chart": f"{chart}-1.0.0"}
    return live(f"{release}-{name}", container(chart, requests), release=release, labels=labels)


def test_charts_within_a_chart_have_their_values_under_their_keys(make_repo: MakeRepo) -> None:
    checkout = Checkout(make_repo(umbrella()))
    chart = chart_at(checkout, "platform")
    assert chart is not None
    assert chart.dependencies == {
        "redis": ("redis", None),
        "shop": ("web", "web"),
        "ledger": ("ledger", "platform/charts/ledger"),
    }


def test_values_are_changed_in_the_chart_that_sets_them(make_repo: MakeRepo) -> None:
    top = make_repo(umbrella())
    redis = live(
        "prod-redis-master",
        container("redis", "50m 32Mi"),
        kind="StatefulSet",
        release="prod",
        labels={"helm.sh/chart": "redis-1.2.3", "app.kubernetes.io/component": "master"},
    )
    assert site_of(top, redis).where == "platform/values.yaml:2 (redis.master.resources)"
    web = live("prod-shop", container("shop", "20m 24Mi"), release="prod", labels={"helm.sh/chart": "web-1.0.0"})
    assert site_of(top, web).where == "web/values.yaml:1 (resources)"
    ledger = live(
        "prod-ledger", container("ledger", "70m 16Mi"), release="prod", labels={"helm.sh/chart": "ledger-1.0.0"}
    )
    site = site_of(top, ledger)
    assert site.where == "platform/values.yaml:3 (ledger.resources)"
    assert site.written == {("requests", "cpu"): "70m", ("requests", "memory"): "16Mi"}
    assert changed(top, site) == {
        "platform/values.yaml": [
            "-ledger: {resources: {requests: {cpu: 70m}}}",
            "+ledger: {resources: {requests: {cpu: 137m, memory: 321Mi}}}",
        ]
    }


def test_a_chart_of_another_name_does_not_fit(make_repo: MakeRepo) -> None:
    other = live("web", container("web", "20m 24Mi"), release="web", labels={"helm.sh/chart": "nginx-1.0.0"})
    assert placed(make_repo(WEB), other)[0].site is None


def test_of_files_for_environments_that_of_the_namespace_is_changed(make_repo: MakeRepo) -> None:
    extra = {f"web/values-{name}.yaml": f"replicas: {name!r}\n" for name in ("prod", "dev")}
    top = make_repo(WEB | extra)
    web = live(
        "web", container("web", "20m 24Mi"), namespace="shop-prod", release="web", labels={"helm.sh/chart": "web-1.0.0"}
    )
    site = site_of(top, web)
    assert site.file == "web/values-prod.yaml"
    assert "environment prod" in placed(top, web)[0].evidence
    assert changed(top, site)["web/values-prod.yaml"][0] == "+resources:"
    assert list(changed(top, site, in_base=True)) == ["web/values.yaml"]


def test_without_a_file_for_its_environment_the_chart_s_own_values_are_the_place(make_repo: MakeRepo) -> None:
    extra = {f"web/values-{name}.yaml": f"replicas: {name!r}\n" for name in ("prod", "dev")}
    web = live("web", container("web", "20m 24Mi"), release="web", labels={"helm.sh/chart": "web-1.0.0"})
    site = site_of(make_repo(WEB | extra), web)
    assert (site.file, site.shared) == ("web/values.yaml", "3 releases build on these values")


def test_of_files_for_environments_that_set_the_same_none_is_changed(make_repo: MakeRepo) -> None:
    same = "resources:\n  requests: {cpu: 20m, memory: 24Mi}\n"
    extra = {f"web/values-{name}.yaml": same for name in ("prod", "dev")}
    web = live("web", container("web", "20m 24Mi"), release="web", labels={"helm.sh/chart": "web-1.0.0"})
    found = placed(make_repo(WEB | extra), web)[0]
    assert found.site is None
    assert "places fit equally: web/values-dev.yaml" in found.reason
