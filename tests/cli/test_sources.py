"""mora sources, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from mora import registry
from tests.running import mora


def test_every_source_says_what_it_reads_and_needs(tmp_path: Path) -> None:
    lines = mora("sources", cwd=tmp_path).stdout.splitlines()
    assert lines[0].split() == ["SOURCE", "READS", "NEEDS", "RIGHTS"]
    assert [line.split()[0] for line in lines[1:]] == registry.names("sources")
    gcp = next(line for line in lines if line.startswith("gcp"))
    assert "the extra cloud-gcp, installed" in gcp
    assert "roles/monitoring.viewer" in gcp
    assert all(len(line.split("  ")) > 3 for line in lines)
