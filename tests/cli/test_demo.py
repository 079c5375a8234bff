"""mora demo: only a verdict against the recommendations is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mora.demo
from mora.cli.demo import demo
from mora.domain import Load, Slo
from mora.errors import MoraError
from mora.proof import Figures, Proof

BEFORE = Figures({"frontend": (500, 2**29)}, {"frontend": 1}, 1.2, 0.0, 0.9, 0)
KEPT = Figures({"frontend": (200, 2**26)}, {"frontend": 2}, 0.1, 0.0, 0.0, 0)
SLOW = Figures({"frontend": (200, 2**26)}, {"frontend": 2}, 0.5, 0.0, 0.0, 0)

BUSY = ("Locust was 90 ms late, of a p95 of 100 ms",)


def end_with(monkeypatch: pytest.MonkeyPatch, after: Figures | None, contention: tuple[tuple[str, ...], ...]) -> None:
    proof = Proof(Load("checkout", 60), Slo(), BEFORE, after, (), contention)

    def run(folder: Path, *, show: Callable[[str], None], **_: Any) -> Proof:
        show("what the demo prints")
        return proof

    monkeypatch.setattr(mora.demo, "run_demo", run)


def test_recommendations_that_fall_short_are_an_error_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end_with(monkeypatch, SLOW, ((),))
    with pytest.raises(MoraError, match=r"fell short: p95 500 ms is above 300 ms\.\nRun `mora demo` again\. If it"):
        demo(tmp_path)


def test_what_the_demo_prints_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end_with(monkeypatch, KEPT, ((),))
    demo(tmp_path)
    assert capsys.readouterr().out == "what the demo prints\n"


@pytest.mark.parametrize(("after", "busy"), [(KEPT, ()), (KEPT, BUSY), (SLOW, BUSY), (None, BUSY), (None, ())])
def test_success_and_no_verdict_are_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: Figures | None, busy: tuple[str, ...]
) -> None:
    end_with(monkeypatch, after, (busy,))
    demo(tmp_path)
