"""Releases of helmfile: files of values, values within, and `set`."""

from __future__ import annotations

from mora.repo import helm
from mora.repo.checkout import Checkout
from tests.repo.conftest import MakeRepo
from tests.repo.placing import changed, container, live, site_of

WEB = live("shop-web", container("web", "100m 128Mi"), release="shop", labels={"app.kubernetes.io/component": "web"})
VALUES = "web:\n  resources:\n    requests:\n      cpu: 100m\n      memory: 128Mi\n"
HELMFILE = """\
repositories:
  - name: shop
    url: https://charts.example.org
releases:
  - name: bank
    namespace: bank
    chart: shop/shop
    values: [bank.yaml]
  - name: shop
    namespace: shop
    chart: shop/shop
"""


def test_a_file_of_values_of_the_release_is_changed(make_repo: MakeRepo) -> None:
    top = make_repo({"helmfile.yaml": HELMFILE + "    values: [shop.yaml]\n", "bank.yaml": VALUES, "shop.yaml": VALUES})
    site = site_of(top, WEB)
    assert site.where == "shop.yaml:2 (web.resources)"
    assert changed(top, site)["shop.yaml"][0] == "-      cpu: 100m"


def test_a_file_that_two_releases_have_is_left_and_another_of_the_release_is_changed(make_repo: MakeRepo) -> None:
    both = HELMFILE.replace("[bank.yaml]", "[both.yaml]") + "    values: [both.yaml, shop.yaml]\n"
    top = make_repo({"helmfile.yaml": both, "both.yaml": VALUES, "shop.yaml": "web:\n  replicas: 2\n"})
    site = site_of(top, WEB)
    assert (site.file, site.shared) == ("shop.yaml", None)
    assert list(changed(top, site)) == ["shop.yaml"]
    assert list(changed(top, site, in_base=True)) == ["both.yaml"]


def test_a_file_that_two_releases_have_and_no_other_is_shared(make_repo: MakeRepo) -> None:
    both = HELMFILE.replace("[bank.yaml]", "[both.yaml]") + "    values: [both.yaml]\n"
    site = site_of(make_repo({"helmfile.yaml": both, "both.yaml": VALUES}), WEB)
    assert (site.file, site.shared) == ("both.yaml", "2 releases build on these values")


def test_values_within_the_helmfile_win(make_repo: MakeRepo) -> None:
    within = (
        HELMFILE + "    values:\n      - shop.yaml\n      - web: {resources: {requests: {cpu: 100m, memory: 128Mi}}}\n"
    )
    top = make_repo({"helmfile.yaml": within, "shop.yaml": VALUES})
    site = site_of(top, WEB)
    assert site.where == "helmfile.yaml:14 (releases[1].values[1].web.resources)"
    assert list(changed(top, site)) == ["helmfile.yaml"]


def test_set_wins_over_all_values(make_repo: MakeRepo) -> None:
    text = HELMFILE + "    values: [shop.yaml]\n    set: [{name: web.resources.requests.cpu, value: 100m}]\n"
    top = make_repo({"helmfile.yaml": text, "shop.yaml": VALUES.replace("100m", "900m")})
    assert changed(top, site_of(top, WEB)) == {
        "helmfile.yaml": [
            "-    set: [{name: web.resources.requests.cpu, value: 100m}]",
            "+    set: [{name: web.resources.requests.cpu, value: 137m}]",
        ],
        "shop.yaml": ["-      memory: 128Mi", "+      memory: 321Mi"],
    }


def test_a_chart_beside_the_helmfile_has_values_of_its_own(make_repo: MakeRepo) -> None:
    text = "releases:\n  - {name: shop, namespace: shop, chart: ./chart}\n"
    chart = {"chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "chart/values.yaml": VALUES}
    assert site_of(make_repo({"helmfile.yaml": text, **chart}), WEB).where == "chart/values.yaml:2 (web.resources)"


def test_a_chart_at_the_top_of_the_repository_is_one_chart(make_repo: MakeRepo) -> None:
    text = "releases:\n  - {name: shop, namespace: shop, chart: .}\n"
    chart = {"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "values.yaml": VALUES}
    assert site_of(make_repo({"helmfile.yaml": text, **chart}), WEB).where == "values.yaml:2 (web.resources)"


def test_a_helmfile_with_actions_is_named_and_not_parsed(make_repo: MakeRepo) -> None:
    text = HELMFILE + "    values:\n      - env/{{ .Environment.Name }}.yaml\n"
    checkout = Checkout(make_repo({"helmfile.yaml": text, "env/prod.yaml": VALUES}))
    assert list(helm.sites(checkout)) == []
    assert checkout.skipped == {"helmfile.yaml": "it is a template ({{ }}), and never parsed as YAML"}
