"""mora demo: MOrA from load experiments to proven recommendations, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import progress, say, show
from mora.errors import MoraError


def demo(
    folder: Annotated[
        Path,
        typer.Option("--dir", help="Folder for data and models: a new one, or that of an earlier demo."),
    ] = Path("demo"),
) -> None:
    """Try MOrA without a cluster, in about five minutes.

    Starts a small shop on this machine, drives load experiments with
    Locust, collects metrics, trains models, recommends, and lets kubectl
    apply a patch. Then it applies the recommendations to the shop, drives
    the same load again, and prints before and after side by side. The load
    fits the speed of this machine. Where other programs are in the way of
    a measurement, it says so and gives no verdict.
    """
    from mora.demo import run_demo
    from mora.proof import Verdict

    with progress() as reporter:
        proof = run_demo(folder, say=say, show=show, reporter=reporter)
    if proof.verdict is Verdict.MISSED:
        raise MoraError(
            f"The recommendations fell short: {'; '.join(proof.failures)}.",
            hint=f"Run `mora demo` again. If it happens twice, report it and attach the folder {folder}.",
        )
