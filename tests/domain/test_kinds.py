"""Kinds of owners, and what the names of runs have in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import API_VERSIONS, JOB_KINDS, RUN_KINDS, Workload, is_name, is_written, stem_of_run, where_set
from mora.domain.kinds import group_of_run, is_kind
from mora.errors import BadInput


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("etl-59", "etl"),
        ("import-2026-11-26", "import"),
        ("import-2026-11-26-0300", "import"),
        ("run-20261126t030000z", "run"),
        ("etl-1764133200-x7k2p", "etl"),
        ("wf-x7k2p", "wf"),
        ("load-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "load"),
        ("build-dead1eef", "build"),
        ("dead1eef-build", "build"),
        ("etl-dead1eef-load", "etl-load"),
        ("etl-59-dead1eef", "etl"),
        ("build-1deadbee-x7k2p", "build"),
        ("resnet-50-train", "resnet-50-train"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("pg-14-28123", "pg-14"),
        ("helm-install-traefik", "helm-install-traefik"),
        ("build-facade", "build-facade"),
        ("migrate-v2", "migrate-v2"),
        ("unit-tests", "unit-tests"),
        ("59", "59"),
    ],
)
def test_runs_share_the_part_of_their_names_without_what_is_generated(name: str, stem: str) -> None:
    assert stem_of_run(name) == stem


@pytest.mark.parametrize(
    ("name", "labels", "group"),
    [
        ("etl-59", {"mora.dev/group": "nightly", "app": "shop"}, "nightly"),
        ("etl-59", {"app": "shop"}, "etl"),
        ("migrate", {"app": "shop"}, "migrate"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", {"app": "etl"}, "etl"),
        ("1764133200", {"app.kubernetes.io/name": "etl", "app": "shop"}, "etl"),
        ("1764133200", {"mora.dev/group": "No Name", "app": "$(id)"}, "1764133200"),
    ],
)
def test_a_label_groups_runs_where_it_is_meant_to_or_where_names_say_nothing(
    name: str, labels: dict[str, str], group: str
) -> None:
    assert group_of_run(name, labels) == group


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,40}[a-z0-9])?", fullmatch=True).filter(is_name), st.integers(0, 10**12))
def test_a_stem_is_a_name_and_a_number_behind_it_changes_nothing(name: str, number: int) -> None:
    stem = stem_of_run(name)
    assert len(stem) <= len(name)
    assert is_name(stem)
    assert is_name(stem_of_run(f"{name}-{number}"))
    assert stem_of_run(f"{name}-{number}") == stem_of_run(f"{name}-{number + 1}")


def test_what_is_longer_than_any_name_stays_whole() -> None:
    assert stem_of_run("a-" * 200_000) == "a-" * 200_000


def test_a_workload_can_be_of_any_kind_and_only_the_known_ones_are_written() -> None:
    kafka = Workload("shop", "kafka", "StrimziPodSet")
    assert not is_written(kafka.kind)
    assert where_set(kafka.kind) == "the Kafka resource or its node pools (spec.resources)"
    assert where_set("FlinkDeployment") == "the FlinkDeployment, or what makes it"
    assert [kind for kind in API_VERSIONS if not is_written(kind)] == ["Job"]
    with pytest.raises(BadInput, match="writes no manifests of a StrimziPodSet"):
        _ = kafka.api_version


@pytest.mark.parametrize("kind", ["", "<none>", "Pod\nkind: Role", "a b", "K" * 64])
def test_what_is_no_kind_is_refused(kind: str) -> None:
    assert not is_kind(kind)
    with pytest.raises(BadInput, match="is not a kind"):
        Workload("shop", "web", kind)


def test_runs_are_jobs() -> None:
    assert RUN_KINDS < JOB_KINDS
    assert "CronJob" not in RUN_KINDS
