"""The overlay builds with a real kustomize, old and new, in the form each takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mora.domain import Recommendation, Workload
from mora.errors import BadInput, NotEnoughData
from mora.outputs import OutputSettings, kustomize
from tests.outputs import examples, kubectl
from tests.outputs.checks import assert_only_the_advice_changed
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl


def write_base(folder: Path, recommendations: list[Recommendation]) -> None:
    folder.mkdir()
    names = [f"{number}.yaml" for number, _ in enumerate(recommendations)]
    for name, recommendation in zip(names, recommendations, strict=True):
        (folder / name).write_text(yaml.safe_dump(examples.manifest(recommendation)))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": names}))


def files_in(text: str) -> dict[str, str]:
    """The files of the one-text form, as a reader would split it."""
    files: dict[str, str] = {}
    for part in text.split("---\n"):
        first, _, rest = part.partition("\n")
        assert first.startswith("# file: ")
        files[first.removeprefix("# file: ")] = rest
    return files


@pytest.mark.parametrize("tool", kubectl.each())
def test_kustomize_builds_exactly_the_numbers(tool: Kubectl, tmp_path: Path) -> None:
    recommendations = examples.fleet()
    settings = OutputSettings(kustomize_version=tool.kustomize_version)
    form = "new" if tool.is_modern else "old"
    text = golden(f"fleet.kustomize-{form}.yaml", kustomize.render(recommendations, settings))
    write_base(tmp_path / "base", recommendations)
    (tmp_path / "overlay").mkdir()
    for name, content in files_in(text).items():
        (tmp_path / "overlay" / name).write_text(content)
    built = {m["metadata"]["name"]: m for m in yaml.safe_load_all(tool.run("kustomize", str(tmp_path / "overlay")))}
    assert len(built) == len(recommendations)
    for recommendation in recommendations:
        before = examples.manifest(recommendation)
        if recommendation.workload.kind == "Job":
            assert built["migration"] == before
            continue
        assert_only_the_advice_changed(before, built[recommendation.workload.name], recommendation)


@pytest.mark.parametrize("version", ["2.0.3", "5"])
def test_both_forms_are_kept_on_every_machine(version: str) -> None:
    form = "old" if version == "2.0.3" else "new"
    settings = OutputSettings(kustomize_version=version)
    golden(f"fleet.kustomize-{form}.yaml", kustomize.render(examples.fleet(), settings))


def test_the_text_has_the_files_that_would_be_written() -> None:
    assert files_in(kustomize.render(examples.fleet())) == kustomize.files(examples.fleet())


def test_patches_is_the_default_and_old_versions_get_the_older_field() -> None:
    new = yaml.safe_load(kustomize.files([examples.frontend()])["kustomization.yaml"])
    assert new["patches"][0]["target"] == {"group": "apps", "version": "v1", "kind": "Deployment", "name": "frontend"}
    old = yaml.safe_load(
        kustomize.files([examples.frontend()], OutputSettings(kustomize_version="v3.8"))["kustomization.yaml"]
    )
    assert old["patchesStrategicMerge"] == ["mora-frontend-resources.yaml"]
    assert old["bases"] == ["../base"]


def test_the_base_is_where_the_reader_keeps_it() -> None:
    files = kustomize.files([examples.frontend()], OutputSettings(kustomize_base="../../shop"))
    assert yaml.safe_load(files["kustomization.yaml"])["resources"] == ["../../shop"]


@pytest.mark.parametrize("tool", kubectl.each(only_modern=True))
def test_two_workloads_of_one_name_keep_their_own_patches(tool: Kubectl, tmp_path: Path) -> None:
    # Only there: the kustomize of kubectl 1.20 matches patches by name alone.
    frontend = examples.frontend()
    twin = replace(examples.payment(), workload=Workload("bank", "frontend"))
    files = kustomize.files([frontend, twin])
    assert sorted(files) == [
        "kustomization.yaml",
        "mora-bank_deployment_frontend-resources.yaml",
        "mora-shop_deployment_frontend-resources.yaml",
    ]
    write_base(tmp_path / "base", [frontend, twin])
    (tmp_path / "overlay").mkdir()
    for name, text in files.items():
        (tmp_path / "overlay" / name).write_text(text)
    built = {
        m["metadata"]["namespace"]: m for m in yaml.safe_load_all(tool.run("kustomize", str(tmp_path / "overlay")))
    }
    for recommendation in (frontend, twin):
        before = examples.manifest(recommendation)
        assert_only_the_advice_changed(before, built[recommendation.workload.namespace], recommendation)


def test_a_workload_without_a_number_is_explained_in_a_comment() -> None:
    files = kustomize.files([examples.frontend(), examples.unknown()])
    assert len(files) == 2
    assert (
        "# no recommendation for cpu request, memory request, replicas: 12 samples, 60 are needed"
        in files["kustomization.yaml"]
    )
    with pytest.raises(NotEnoughData, match=r"adservice: .*12 samples"):
        kustomize.files([examples.unknown()])


@pytest.mark.parametrize("version", ["2.0.3", "4.5.7"])
def test_a_cronjob_gets_a_json_patch_where_kustomize_may_not_know_it(version: str) -> None:
    # Without a schema the list of containers would be replaced, image and all.
    settings = OutputSettings(kustomize_version=version)
    operations = yaml.safe_load(kustomize.files([examples.nightly()], settings)["mora-nightly-resources.yaml"])
    assert operations[0]["op"] == "test"
    assert operations[0]["path"] == "/spec/jobTemplate/spec/template/spec/containers/0/name"
    merged = yaml.safe_load(kustomize.files([examples.nightly()])["mora-nightly-resources.yaml"])
    assert (merged["apiVersion"], merged["kind"]) == ("batch/v1", "CronJob")


def test_a_job_is_explained_in_a_comment() -> None:
    text = kustomize.files([examples.frontend(), examples.migration()])["kustomization.yaml"]
    assert "# Job shop/migration: the template of a Job cannot be changed" in text


def test_a_version_has_to_be_one() -> None:
    with pytest.raises(BadInput, match="'new' is not a version"):
        kustomize.render([examples.frontend()], OutputSettings(kustomize_version="new"))
