"""What renders charts in tests is Helm: it refuses what Helm refuses, and its archives load again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import helm


def chart(folder: Path, template: str, values: str = "", schema: str = "") -> Path:
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.2.3\n", encoding="utf-8")
    (folder / "values.yaml").write_text(values, encoding="utf-8")
    (folder / "templates" / "map.yaml").write_text(template, encoding="utf-8")
    if schema:
        (folder / "values.schema.json").write_text(schema, encoding="utf-8")
    return folder


MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  place: {{ .Release.Namespace | quote }}
  users: {{ .Values.users | quote }}
"""


def test_values_release_and_namespace_reach_the_templates(tmp_path: Path) -> None:
    made = chart(tmp_path, MAP, "users: 5\n")
    (found,) = helm.documents(made, name="one", namespace="two")
    assert found["metadata"]["name"] == "one-shop"
    assert found["data"] == {"place": "two", "users": "5"}
    (changed,) = helm.documents(made, {"users": 60})
    assert changed["data"]["users"] == "60"


def test_a_template_that_fails_is_refused_with_helms_words(tmp_path: Path) -> None:
    made = chart(tmp_path, '{{ fail "no users are set" }}')
    with pytest.raises(helm.Refused, match="no users are set"):
        helm.render(made)


def test_values_that_break_the_schema_are_refused(tmp_path: Path) -> None:
    schema = '{"type": "object", "properties": {"users": {"type": "integer"}}, "additionalProperties": false}'
    made = chart(tmp_path, MAP, "users: 5\n", schema)
    assert helm.render(made)
    for values in ({"users": "many"}, {"user": 5}):
        with pytest.raises(helm.Refused, match="user"):
            helm.render(made, values)


def test_lint_names_the_template_that_is_no_yaml(tmp_path: Path) -> None:
    made = chart(tmp_path, "kind: {{ .Values.kind }}\n  name: x\n", "kind: ConfigMap\n")
    assert any("map.yaml" in found for found in helm.lint(made))


def test_an_archive_renders_as_its_folder_does(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    made = chart(tmp_path / "shop", MAP, "users: 5\n")
    archive = helm.package(made, tmp_path)
    assert archive.name == "shop-1.2.3.tgz"
    assert helm.render(archive) == helm.render(made)
