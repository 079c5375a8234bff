"""Files in a folder: all or none, none of somebody else's, and none that is left over."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mora import registry
from mora.domain import Recommendation, Workload
from mora.errors import BadInput, MoraError
from mora.outputs import OutputSettings, folder
from tests.outputs import examples

SOME = [examples.frontend(), examples.cart(), examples.nightly()]


def names(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir())


@pytest.mark.parametrize("output", registry.names("outputs"))
def test_every_output_can_be_written_again_and_gives_the_same_files(output: str, tmp_path: Path) -> None:
    first = folder.write(output, SOME, tmp_path / "out")
    before = {path: path.read_text() for path in first.written}
    assert before
    assert all(text.endswith("\n") for text in before.values())
    again = folder.write(output, SOME, tmp_path / "out")
    assert (again.written, again.removed) == (first.written, ())
    assert {path: path.read_text() for path in again.written} == before
    assert names(tmp_path / "out") == sorted([folder.LISTED, *(path.name for path in first.written)])


def test_files_of_others_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "cartservice.patch.yaml").write_text("mine\n")
    with pytest.raises(BadInput, match=r"did not write.*cartservice\.patch\.yaml.*\n.*--overwrite"):
        folder.write("patch", SOME, tmp_path)
    assert names(tmp_path) == ["cartservice.patch.yaml"]
    folder.write("patch", SOME, tmp_path, overwrite=True)
    assert "spec:" in (tmp_path / "cartservice.patch.yaml").read_text()


def test_what_was_edited_since_is_refused(tmp_path: Path) -> None:
    folder.write("patch", SOME, tmp_path)
    edited = tmp_path / "frontend.patch.yaml"
    edited.write_text(edited.read_text() + "# by hand\n")
    with pytest.raises(BadInput, match=r"edited since: frontend\.patch\.yaml"):
        folder.write("patch", SOME, tmp_path)
    assert edited.read_text().endswith("# by hand\n")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("mine\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "frontend.patch.yaml").symlink_to(elsewhere)
    with pytest.raises(BadInput, match="did not write"):
        folder.write("patch", SOME, tmp_path / "out")
    assert elsewhere.read_text() == "mine\n"


def test_files_of_an_earlier_run_are_deleted_and_other_outputs_stay(tmp_path: Path) -> None:
    folder.write("patch", SOME, tmp_path)
    folder.write("vpa", SOME, tmp_path)
    (tmp_path / "README.md").write_text("mine\n")
    done = folder.write("patch", SOME[:1], tmp_path)
    assert sorted(path.name for path in done.removed) == ["cartservice.patch.yaml", "nightly.patch.yaml"]
    assert names(tmp_path) == [
        *(folder.LISTED, "README.md", "cartservice.vpa.yaml", "frontend.patch.yaml", "frontend.vpa.yaml"),
        "nightly.vpa.yaml",
    ]


def test_edited_files_of_an_earlier_run_are_not_deleted(tmp_path: Path) -> None:
    folder.write("patch", SOME, tmp_path)
    (tmp_path / "nightly.patch.yaml").write_text("by hand\n")
    done = folder.write("patch", SOME[:1], tmp_path)
    assert [path.name for path in done.removed] == ["cartservice.patch.yaml"]
    assert (tmp_path / "nightly.patch.yaml").read_text() == "by hand\n"


def test_names_never_clash(tmp_path: Path) -> None:
    frontend = examples.frontend()
    workloads = [
        *(Workload("shop", "web"), Workload("bank", "web"), Workload("shop", "web", "StatefulSet")),
        *(Workload("a", "b-deployment-web"), Workload("a-b", "deployment-web"), Workload("x", "y" * 60 + ".z" * 90)),
    ]
    twins: list[Recommendation] = [replace(frontend, workload=workload) for workload in workloads]
    for output in ("patch", "yaml", "vpa", "hpa", "helm-values", "kustomize"):
        texts = folder.files(output, twins)
        assert len([name for name in texts if name != "kustomization.yaml"]) == len(twins)
        assert all(len(name) < 250 for name in texts)
    folder.write("patch", twins, tmp_path)


def test_a_refused_output_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="--helm-path"):
        folder.write("helm-values", [examples.frontend(), examples.meshed()], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match="is a file"):
        folder.write("patch", SOME, Path(__file__))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema_version": 2, "files": {}}',
        json.dumps({"schema_version": 1, "files": {"../x": {"output": "patch", "sha256": "0"}}}),
        "[" * 100_000,
    ],
)
def test_a_list_that_is_not_ours_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / folder.LISTED).write_text(text)
    with pytest.raises(BadInput, match="cannot be read as the list"):
        folder.write("patch", SOME, tmp_path)


def test_a_list_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / folder.LISTED)
    with pytest.raises(BadInput, match=r"cannot be read as the list(.|\n)*not a regular file"):
        folder.write("patch", SOME, tmp_path)


def test_settings_reach_the_files(tmp_path: Path) -> None:
    done = folder.write("kustomize", SOME, tmp_path, OutputSettings(kustomize_version="2.0.3"))
    assert "patchesJson6902" in (tmp_path / "kustomization.yaml").read_text()
    assert done.written[0].name == "kustomization.yaml"


@pytest.mark.parametrize("planted", [".apply.sh.tmp", f".{folder.LISTED}.tmp"])
def test_a_planted_temporary_link_never_changes_its_target(planted: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / planted).symlink_to(victim)
    folder.write("commands", SOME, tmp_path / "out")
    assert victim.read_text() == "mine\n"
    assert names(tmp_path / "out") == [folder.LISTED, "apply.sh", "rollback.sh"]


@pytest.mark.parametrize("survived", range(1, 6))
def test_a_run_that_is_killed_while_it_renames_leaves_files_that_the_next_run_knows(
    survived: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("patch", SOME, tmp_path)
    changed = [replace(one, workload=replace(one.workload, namespace="other")) for one in SOME[:2]]
    renamed: list[Path] = []
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if len(renamed) == survived:
            raise KeyboardInterrupt
        renamed.append(target)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with contextlib.suppress(KeyboardInterrupt):
            folder.write("patch", changed, tmp_path)
    again = folder.write("patch", changed, tmp_path)
    assert names(tmp_path) == sorted([folder.LISTED, *(path.name for path in again.written)])
    assert "was" not in (tmp_path / folder.LISTED).read_text()


def test_two_runs_into_one_folder_take_turns(tmp_path: Path) -> None:
    runs = [threading.Thread(target=folder.write, args=("patch", SOME[:count], tmp_path)) for count in (1, 2, 3) * 5]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    listed = json.loads((tmp_path / folder.LISTED).read_text())["files"]
    assert names(tmp_path) == sorted([folder.LISTED, *listed])
    for name, entry in listed.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == entry["sha256"]


def test_kubectl_reads_every_yaml_of_the_folder_and_nothing_else(tmp_path: Path) -> None:
    folder.write("vpa", SOME, tmp_path)
    read = [path for path in tmp_path.iterdir() if path.suffix in (".json", ".yaml", ".yml")]  # kubectl apply -f DIR
    assert read
    assert all(path.suffix == ".yaml" for path in read)


def test_the_list_of_an_earlier_version_is_read_and_replaced(tmp_path: Path) -> None:
    folder.write("patch", SOME, tmp_path)
    (tmp_path / folder.LISTED).rename(tmp_path / folder.LISTED_BEFORE)
    removed = folder.write("patch", SOME[:1], tmp_path).removed
    assert [path.name for path in removed] == ["cartservice.patch.yaml", "nightly.patch.yaml"]
    assert names(tmp_path) == [folder.LISTED, "frontend.patch.yaml"]
