"""What a checkout reads, and what it names and leaves out: templates, links, encrypted files, what is no YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import BadInput
from mora.repo.checkout import Checkout
from tests.repo.conftest import MakeRepo
from tests.repo.manifests import deployment


def test_objects_of_all_documents_and_lists_are_found(make_repo: MakeRepo) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: web}\n"
    top = make_repo(
        {"a.yaml": deployment() + "---\n" + deployment("api"), "b/c.yml": listed, "d.txt": deployment("no")}
    )
    found = [(one.file, one.document, one.path, one.kind, one.name) for one in Checkout(top).objects()]
    assert found == [
        ("a.yaml", 0, (), "Deployment", "web"),
        ("a.yaml", 1, (), "Deployment", "api"),
        ("b/c.yml", 0, ("items", 0), "Service", "web"),
    ]


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("a.yaml", "kind: Deployment\n\tname: web\n", "not valid YAML in line 2"),
        ("a.yaml", deployment(resources="{{ .Values.resources }}"), "a template"),
        ("a.yaml", "{{- if .Values.a }}\n" + deployment() + "{{- end }}\n", "a template"),
        ("a.yaml", deployment("web-{{ .Values.name }}"), "a template"),
        ("chart/templates/a.yaml", deployment(), "a template of a Helm chart"),
        ("a.sops.yaml", deployment(), "encrypted by SOPS"),
        ("a.yaml", deployment() + "sops:\n  mac: ENC[AES256_GCM,data:x]\n", "encrypted by SOPS"),
    ],
)
def test_what_is_not_to_be_read_is_named_and_the_rest_goes_on(
    make_repo: MakeRepo, path: str, text: str, why: str
) -> None:
    top = make_repo({path: text, "z.yaml": deployment(), "chart/Chart.yaml": "name: shop\n"})
    checkout = Checkout(top)
    assert [one.file for one in checkout.objects("Deployment")] == ["z.yaml"]
    assert list(checkout.skipped) == [path]
    assert why in checkout.skipped[path]


def test_braces_in_quotes_blocks_and_comments_make_no_template(make_repo: MakeRepo) -> None:
    text = deployment() + "# {{ a }}\nx: \"{{ b }}\"\ny: |\n  {{ c }}\nz: '{{ d }}' # {{ e }}\n"
    assert [one.name for one in Checkout(make_repo({"a.yaml": text})).objects()] == ["web"]


def test_a_link_out_of_the_repository_is_named_and_never_followed(make_repo: MakeRepo, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.yaml").write_text(deployment("outside"))
    top = make_repo({"a.yaml": deployment()})
    (top / "link.yaml").symlink_to(tmp_path / "outside" / "a.yaml")
    (top / "folder").symlink_to(tmp_path / "outside")
    (top / "same.yaml").symlink_to("a.yaml")
    checkout = Checkout(top)
    assert [one.name for one in checkout.objects()] == ["web"]
    assert list(checkout.skipped) == ["link.yaml"]
    assert "never followed" in checkout.skipped["link.yaml"]
    assert checkout.resolve("", "folder/a.yaml") is None
    assert checkout.resolve("b", "../../outside/a.yaml") is None
    assert checkout.resolve("", "same.yaml") == "a.yaml"


def test_nothing_of_a_secret_is_an_object(make_repo: MakeRepo) -> None:
    top = make_repo({"a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\ndata: {a: b}\n"})
    assert list(Checkout(top).objects()) == []


def test_a_folder_of_a_checkout_is_searched_alone_and_a_plain_one_too(make_repo: MakeRepo, tmp_path: Path) -> None:
    top = make_repo({"a/a.yaml": deployment(), "b/b.yaml": deployment("api")})
    assert Checkout(top / "b").paths == ["b/b.yaml"]
    assert Checkout(top / "b").top == top.resolve()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.yaml").write_text(deployment())
    plain = Checkout(tmp_path / "plain")
    assert (plain.is_git, plain.paths) == (False, ["a.yaml"])


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Checkout(tmp_path / "nowhere")
