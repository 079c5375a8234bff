"""Rows of answers whose labels name what Kubernetes could not have are left out, and counted."""

from __future__ import annotations

from typing import Any

import pytest

from mora.sources.prometheus.labels import Names, is_image, is_label_value, label_named


@pytest.mark.parametrize("label", ["container", "pod", "horizontalpodautoscaler", "resourcequota"])
@pytest.mark.parametrize("name", ["a b", "-x", "x\n", "\u202e", "$(id)", 5, None, ["web"], "x" * 254])
def test_a_row_with_an_impossible_name_is_left_out(label: str, name: Any) -> None:
    names = Names()
    rows = [{label: "web"}, {label: name}, {label: ""}, {}, {"container": "POD"}, {"other": name}]
    assert names.believed(rows, lambda row: row) == [rows[0], *rows[2:]]
    assert len(names.warnings) == 1
    assert ascii(name) in names.warnings[0]


def test_many_are_counted_and_only_the_first_are_listed() -> None:
    names = Names()
    assert names.values("container", ["web", *(f"a {n}" for n in range(1000))]) == ["web"]
    assert len(names.warnings) == 6
    assert names.warnings[-1] == "995 more invalid names are left out."


def test_values_of_workload_labels_are_names_and_others_stay() -> None:
    names = Names()
    assert names.values("deployment", ["web", "a\nb"]) == ["web"]
    assert names.values("cluster", ["Prod Europe"]) == ["Prod Europe"]


@pytest.mark.parametrize(
    ("exported", "label"),
    [
        ("label_helm_toolkit_fluxcd_io_name", "helm.toolkit.fluxcd.io/name"),
        ("label_argocd_argoproj_io_instance", "argocd.argoproj.io/instance"),
        ("label_app_kubernetes_io_managed_by", "app.kubernetes.io/managed-by"),
    ],
)
def test_labels_of_gitops_tools_get_their_names_back(exported: str, label: str) -> None:
    assert label_named(exported) == label


@pytest.mark.parametrize("text", ["x\n", "-", "a b", "\u202e", "a" * 64])
def test_neither_label_value_nor_image(text: str) -> None:
    assert not is_label_value(text)
    assert not is_image(f"web {text}")
