"""mora health list, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.health.made import healthy
from tests.running import mora


def test_what_cannot_be_read_is_named_beside_what_can(tmp_path: Path) -> None:
    assert "There is no detector in health." in mora("health", "list", cwd=tmp_path).stderr
    healthy(300).to_csv(tmp_path / "web.csv", index=False)
    for service in ("web", "cart"):
        done = mora("health", "train", "web.csv", "--service", service, "-d", "robust-z", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (tmp_path / "health" / "default" / "cart" / "detector.npz").write_bytes(b"")
    done = mora("health", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert "default/web" in done.stdout
    assert "default/cart:" in done.stderr
    assert "mora health train cart" in done.stderr
    assert mora("health", "list", "-n", "../x", cwd=tmp_path).returncode == 1
