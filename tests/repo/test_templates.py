"""Templates of charts are text: what is written plainly in them is believed, and nothing else."""

from __future__ import annotations

import pytest

from mora.repo.templates import Use, uses_in

HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    app: x\n  name: {{ .Release.Name }}\nspec:\n"


def only(text: str) -> Use:
    (found,) = uses_in(text)
    return found


@pytest.mark.parametrize(
    "use",
    [
        "      resources: {{- toYaml .Values.web.resources | nindent 8 }}\n",
        "      resources:\n{{ toYaml .Values.web.resources | indent 8 }}\n",
        "      {{- with .Values.web.resources }}\n      resources:\n        {{- toYaml . | nindent 8 }}\n",
    ],
)
def test_the_container_above_is_found_in_every_way_to_write_it(use: str) -> None:
    containers = "  containers:\n    - name: web\n      env:\n        - name: PORT\n          value: x\n"
    assert only(HEAD + containers + use) == Use(("web", "resources"), (), "Deployment", "{{ .Release.Name }}", "web")


def test_two_kinds_are_none() -> None:
    head = "{{ if .Values.x }}\nkind: Deployment\n{{ else }}\nkind: StatefulSet\n{{ end }}\n"
    assert only(head + "    - name: web\n      resources: {{ .Values.resources }}\n").kind is None


def test_documents_of_a_template_are_apart() -> None:
    web = HEAD + "    - name: web\n      resources: {{ .Values.web.resources }}\n"
    found = list(uses_in(f"{web}---\n{web.replace('web', 'api').replace('Deployment', 'DaemonSet')}"))
    assert [(one.kind, one.container) for one in found] == [("Deployment", "web"), ("DaemonSet", "api")]


def test_a_use_in_a_chart_within_is_under_its_keys() -> None:
    (found,) = uses_in("resources: {{ .Values.initResources }}", ("shop",))
    assert found == Use(("shop", "initResources"), ("shop",), None, None, None)
