"""YAML documents and file names."""

from __future__ import annotations

import yaml

from mora.domain import Workload
from mora.outputs.documents import documents, dump, file_names


def test_what_yaml_1_1_reads_as_something_else_is_quoted() -> None:
    document = {"updateMode": "Off", "cpu": "2", "name": "web", "limit": None}
    text = dump(document)
    assert yaml.safe_load(text) == document
    assert "updateMode: 'Off'" in text
    assert "limit: null" in text


def test_lists_are_indented_and_repeated_values_written_out() -> None:
    shared = {"cpu": "60m"}
    assert dump({"policies": [{"min": shared, "max": shared}]}) == (
        "policies:\n  - min:\n      cpu: 60m\n    max:\n      cpu: 60m\n"
    )


def test_several_documents_are_a_stream() -> None:
    assert list(yaml.safe_load_all(documents([dump({"a": 1}), dump({"b": 2})]))) == [{"a": 1}, {"b": 2}]


def test_a_very_long_name_is_cut_and_stays_unique() -> None:
    workloads = [Workload(namespace, ".".join(["a" * 60] * 4)) for namespace in ("shop", "bank")]
    names = file_names(workloads, ".yaml")
    assert len(set(names.values())) == 2
    assert all(len(name) < 255 for name in names.values())
