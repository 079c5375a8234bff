"""The confirmation on the real shop: its processes, Locust and Prometheus, asked through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mora.sandbox
from mora.optimize.journal import Journal, Measured
from mora.sandbox import SandboxHandle
from mora.sandbox.spec import SERVICES
from tests.running import mora as run

# Cores of each service at four users of browsing, as measured once; and what squeezing to half of it added.
USE = {"frontend": 0.03, "productcatalogservice": 0.006, "cartservice": 0.003}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHandle]:
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(tmp_path / "sandboxes"))
    handle = mora.sandbox.start("optimize")
    yield handle
    handle.down()


def measured(p95: float, *, squeezed: dict[str, int] | None = None) -> Measured:
    names = [spec.name for spec in SERVICES]
    return Measured(
        users={"browsing": 4},
        p95_seconds={"browsing": p95},
        p95_upper_seconds={"browsing": p95 * 1.1},
        error_ratio={"browsing": 0.0},
        requests_per_second={"browsing": 4.0},
        cores={name: USE.get(name, 0.0) for name in names},
        memory_bytes=dict.fromkeys(names, 40 * 2**20),
        throttled_ratio=dict.fromkeys(names, 0.0),
        setting={name: (1, (squeezed or {}).get(name, 1000)) for name in names},
    )


@pytest.mark.slow
def test_the_answer_is_applied_driven_and_everything_is_as_before(sandbox: SandboxHandle, tmp_path: Path) -> None:
    before = {name: (one["replicas"], one["resources"]) for name, one in sandbox.status()["services"].items()}
    journal = Journal(tmp_path / "known.json", "known", "2026-11-26")
    journal.add("probe browsing", measured(0.05))
    journal.add("baseline", measured(0.05))
    for spec in SERVICES:
        journal.add(f"{spec.name} at 100m", measured(0.08, squeezed={spec.name: 100}))
    asked = ("optimize", "--load", "browsing=4", "--slo-p95", "20s", "--target-utilisation", "50%")
    done = run(
        *asked,
        *("--sandbox", "optimize", "--reuse", str(journal.path), "-o", "json"),
        cwd=tmp_path,
        MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"),
    )
    assert done.returncode == 0, done.stderr
    advice = json.loads(done.stdout)["recommendations"]
    assert {one["service"] for one in advice} == set(before)
    assert "confirmed: driven with limits equal to requests" in done.stdout
    sandbox.wait_ready()
    after = {name: (one["replicas"], one["resources"]) for name, one in sandbox.status()["services"].items()}
    assert after == before
    assert "Nothing to restore" in run("optimize", "--restore", cwd=tmp_path).stdout
