"""Layers are merged as Helm merges them: what Helm renders of the same layers is what is read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.repo.layers import Layer, Merged, Release, merged
from mora.repo.sites import Address
from mora.repo.tree import Mapping, Scalar, Sequence, parse, plain
from tests import helm

PAIRS = [
    ("a: {b: 1, c: 2}", "a: {b: 3}"),
    ("a: {b: 1, c: 2}", "a: {b: null}"),
    ("a: {b: 1}", "a: {c: {d: 5}}"),
    ("a: [1, 2, 3]", "a: [4]"),
    ("a: {b: {c: 1}}\nd: x", "a: {b: {e: 2}}\nf: y"),
    ("a: 1", "b: {<<: {x: 1, y: 2}, y: 3}"),
]


def release(*texts: str) -> Release:
    layers = [Layer(f"{number}.yaml", Address(0, ()), parse(text)[0].root) for number, text in enumerate(texts)]
    return Release("test", "shop", "shop", tuple(layers))


def as_plain(here: Merged) -> Any:
    if not isinstance(here.top, Mapping) and here.keys:
        return [plain(one) for one in here.top.items] if isinstance(here.top, Sequence) else plain(here.top)
    found = {name: as_plain(here.below(name)) for name in here.names}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(("below", "above"), PAIRS)
def test_two_layers_are_merged_as_by_helm(tmp_path: Path, below: str, above: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n", encoding="utf-8")
    (tmp_path / "values.yaml").write_text(below, encoding="utf-8")
    (tmp_path / "templates" / "map.yaml").write_text("values:\n  {{- toYaml .Values | nindent 2 }}\n", encoding="utf-8")
    (rendered,) = helm.documents(tmp_path, yaml.safe_load(above))
    assert as_plain(merged(release(below, above))) == rendered["values"]


def test_a_value_with_a_variable_is_not_known() -> None:
    here = merged(release("a: ${CPU}\nb: '{{ .Values.cpu }}'\nc: 1"))
    assert (here.text("a"), here.text("b"), here.text("c"), here.text("d")) == (None, None, "1", None)


def test_a_chart_within_lies_under_its_key() -> None:
    inner = Layer("charts/web/values.yaml", Address(0, ()), parse("resources: {requests: {cpu: 1}}")[0].root, ("web",))
    outer = Layer("values.yaml", Address(0, ()), parse("web: {replicas: 2}")[0].root)
    here = merged(Release("test", None, None, (inner, outer)))
    assert (here.text("web", "replicas"), here.text("web", "resources", "requests", "cpu")) == ("2", "1")
    part = here.below("web", "resources").parts[0]
    assert (part.layer.file, part.path) == ("charts/web/values.yaml", ("resources",))
    assert isinstance(here.below("web", "replicas").top, Scalar)
