"""Evidence chooses the place of a container; where two fit equally, none is chosen and both are named."""

from __future__ import annotations

from mora.domain import Container, Resources, Role, Workload
from mora.quantities import MIB
from mora.repo.checkout import Checkout
from mora.repo.manifests import sites
from mora.repo.matching import Live, Placement, place
from mora.repo.sites import Address, Claim, Site
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment

SERVER = Container("server", Resources(100, None, 128 * MIB, 128 * MIB), image="shop/web:1", is_main=True)
WEB = Live(Workload("shop", "web"), (SERVER,))


def site(file: str = "values.yaml", **claim: object) -> Site:
    return Site("Helm values", file, Address(0, ("web", "resources")), Claim(**claim))  # type: ignore[arg-type]


def only(live: Live, *sites: Site) -> Placement:
    return place([live], sites)[0]


def test_a_manifest_is_found_by_its_kind_and_name_and_what_speaks_for_it_is_named(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": deployment(), "b.yaml": deployment("api"), "c.yaml": deployment(namespace="bank")})
    found = only(WEB, *sites(Checkout(top)))
    assert found.site is not None
    assert found.site.where == "a.yaml:11 (spec.template.spec.containers[0].resources)"
    assert found.evidence == ("Deployment web", "namespace shop", "container server", "image shop/web", "image tag 1")


def test_two_that_fit_equally_are_both_named_and_neither_is_chosen(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": deployment(), "b.yaml": deployment()})
    found = only(WEB, *sites(Checkout(top)))
    assert found.site is None
    assert "2 places fit equally: a.yaml:11" in found.reason
    assert "and b.yaml:11" in found.reason
    assert len(found.others) == 2


def test_todays_values_choose_between_two_that_are_alike_otherwise(make_repo: MakeRepo) -> None:
    resources = "{requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi}}"
    top = make_repo({"a.yaml": deployment(resources="{requests: {cpu: 1}}"), "b.yaml": deployment(resources=resources)})
    found = only(WEB, *sites(Checkout(top)))
    assert found.site is not None
    assert found.site.file == "b.yaml"
    assert "today's values" in found.evidence


def test_a_release_that_differs_rules_a_site_out() -> None:
    live = Live(WEB.workload, WEB.containers, release=("shop", "shop"))
    assert only(live, site(release="bank", words=("web", "server"), image="shop/web:1")).site is None
    assert only(live, site(release="shop", release_namespace="bank", words=("web",))).site is None
    assert only(live, site(release="shop", words=("web",), image="shop/web:2")).site is not None


def test_names_and_images_alone_are_too_little() -> None:
    found = only(WEB, site(words=("web",), image="shop/web:1"))
    assert found.site is None
    assert "too little speaks for it" in found.reason


def test_an_argo_application_or_a_flux_kustomization_that_differs_rules_a_site_out() -> None:
    live = Live(WEB.workload, WEB.containers, sources=frozenset({("Application", "", "shop")}))
    sure = {"kind": "Deployment", "name": "web", "container": "server"}
    assert only(live, site(**sure, source=(("Application", "argocd", "bank"),))).site is None
    assert only(live, site(**sure, source=(("Application", "argocd", "shop"),))).site is not None


def test_an_init_container_is_not_the_container_of_the_same_name() -> None:
    live = Live(WEB.workload, (Container("server", role=Role.INIT),))
    assert only(live, site(kind="Deployment", name="web", container="server", is_init=False)).site is None


def test_one_place_of_two_workloads_is_the_place_of_neither(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": deployment(namespace=None)})
    other = Live(Workload("bank", "web"), (SERVER,))
    found = place([WEB, other], list(sites(Checkout(top))))
    assert [one.site for one in found] == [None, None]
    assert "several containers alike: bank/web server, shop/web server" in found[0].reason


def test_what_no_file_has_gets_the_reason() -> None:
    assert "no file of the repository has a Deployment web" in only(WEB).reason
    near = site(kind="Deployment", name="web", namespace="bank")
    assert "of the same name, but its namespace is bank, not shop" in only(WEB, near).reason
