"""The end of the demo as a team would see it: the recommendations as a change of a small Git repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mora.domain import Allocation, Recommendation, Workload

_AUTHOR = ("-c", "user.name=MOrA demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")


def make_repository(folder: Path, shipped: Mapping[Workload, Allocation]) -> None:
    """A Git repository with the manifest of every service as the shop ships; ToolMissing without git."""
    import yaml

    from mora.demo.manifest import deployment_manifest
    from mora.repo.git import git

    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    for workload, allocation in shipped.items():
        text = yaml.safe_dump(deployment_manifest(workload, allocation), sort_keys=False)
        (folder / f"{workload.name}.yaml").write_text(f"# {workload.name} of the demo's shop\n{text}")
    git(folder, "add", "--all")
    git(folder, *_AUTHOR, "commit", "--quiet", "--message", "The shop as it ships")


def diff_of(folder: Path, recommendations: Sequence[Recommendation]) -> str:
    """Write the recommendations into the repository's files, uncommitted, and return the diff."""
    from mora import pipeline

    repository = pipeline.Repository(folder, writes=True)
    return pipeline.change_repository(repository, repository.open(), recommendations).diff
