"""Whether a few chosen runs answer as a dense grid does: runs and minutes of the adaptive plan, too.

    python experiments/benchmarks/adaptive.py [--data FOLDER]     without a folder the plan runs first: ten minutes

The reference is adaptive_reference.json: what the runs of dense.toml (72 cells) measured on the sandbox, driven by

    mora collect --plan experiments/benchmarks/dense.toml --data dense --resume
    python experiments/benchmarks/adaptive.py --summarise dense

The summary says how many of the cells were driven. Both are of the machine that drove them: for a verdict, drive both
on the same quiet one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora import dataset
from mora.capacity import Capacity, capacity
from mora.domain import Load, Slo
from mora.files import json_text
from mora.harness.plan import Plan
from mora.response import LoadResponse, Run, run_of

HERE = Path(__file__).resolve().parent
REFERENCE, DENSE = HERE / "adaptive_reference.json", HERE / "dense.toml"
ENTRY, SLO, UTILISATION = "frontend", Slo(), 0.7
USERS = range(5, 101, 5)
MOST_RUNS, MOST_MINUTES, LEAST_EQUAL, MOST_OFF = 8, 10.0, 0.95, 0.10

Runs = Mapping[str, Sequence[Run]]


def runs_of(folder: Path) -> dict[str, list[Run]]:
    """The runs of every service in a data folder, flagged ones included: an overload ends early."""
    found: dict[str, list[Run]] = {}
    for service in dataset.list_services(folder):
        frame = dataset.read_dataset(service, folder, include_flagged=True)
        cards = dataset.read_cards(service, folder)
        grouped = frame.groupby("experiment_id", sort=True)
        runs = (run_of(str(name), rows, cards.get(str(name), {})) for name, rows in grouped)
        found[service] = [run for run in runs if run is not None]
    return found


def summarise(folder: Path) -> None:
    """Write what the runs of a folder measured as the reference."""
    runs = {service: [asdict(run) for run in own] for service, own in runs_of(folder).items()}
    cells = {"driven": len(runs[ENTRY]), "planned": len(Plan.load(DENSE).cells)}
    REFERENCE.write_text(json_text({"cells": cells, "runs": runs}))
    print(f"Wrote {REFERENCE.name}: {cells['driven']} of {cells['planned']} cells.")


def reference() -> tuple[Mapping[str, int], dict[str, list[Run]]]:
    """How many cells the reference has, and its runs."""
    content = json.loads(REFERENCE.read_text())
    return content["cells"], {service: [_run(run) for run in own] for service, own in content["runs"].items()}


def _run(plain: Mapping[str, object]) -> Run:
    interval = plain["latency_p95_interval"]
    return Run(**{**plain, "latency_p95_interval": tuple(interval) if isinstance(interval, list) else None})  # type: ignore[arg-type]


def minutes_of(folder: Path) -> float:
    """From the start of the first run to the end of the last window."""
    (ledger,) = (folder / ".runs").glob("*.json")
    started = datetime.fromisoformat(json.loads(ledger.read_text())["started"])
    ends = [datetime.fromisoformat(card["window"]["end"]) for card in dataset.read_cards(ENTRY, folder).values()]
    return (max(ends) - started).total_seconds() / 60


def answers(runs: Runs, scenario: str) -> list[int | None]:
    """The replicas of the entry service at every load that is asked."""
    response = LoadResponse(tuple(runs[ENTRY]), {}).without(())
    return [response.choose_replicas(Load(scenario, users), SLO).replicas for users in USERS]


def known(runs: Runs, scenario: str) -> Capacity:
    return capacity(runs, scenario, SLO, target_utilisation=UTILISATION)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of a finished adaptive run")
    parser.add_argument("--summarise", type=Path, help="a folder of the dense plan; write the reference")
    asked = parser.parse_args()
    if asked.summarise is not None:
        summarise(asked.summarise)
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        folder = asked.data
        if folder is None:
            folder = Path(fresh) / "data"
            command = [sys.executable, "-m", "mora", "collect", "--plan", "adaptive", "--data", str(folder)]
            subprocess.run(command, check=True)
        return compare(folder)


def compare(folder: Path) -> int:
    """Print the verdicts of a folder; 1 where one is missed."""
    cells, dense = reference()
    chosen, minutes = runs_of(folder), minutes_of(folder)
    print(f"reference: {cells['driven']} of {cells['planned']} cells; questions: {len(USERS)} loads a scenario")
    equal = fewer = questions = refused = 0
    verdicts = [("minutes for all scenarios", f"{minutes:.1f}", minutes <= MOST_MINUTES, f"at most {MOST_MINUTES:g}")]
    for scenario in sorted({run.scenario for run in chosen[ENTRY]}):
        count = sum(run.scenario == scenario for run in chosen[ENTRY])
        verdicts.append((f"{scenario}: runs", str(count), count <= MOST_RUNS, f"at most {MOST_RUNS}"))
        ours, theirs = answers(chosen, scenario), answers(dense, scenario)
        both = list(zip(ours, theirs, strict=True))
        pairs = [(one, other) for one, other in both if one is not None and other is not None]
        refused += sum(one is None and other is not None for one, other in both)
        questions += len(pairs)
        equal += sum(one == other for one, other in pairs)
        fewer += sum(one < other for one, other in pairs)
        print(f"{scenario}: replicas at {USERS.start} to {USERS[-1]} users")
        print(f"   adaptive  {' '.join('-' if one is None else str(one) for one in ours)}")
        print(f"   reference {' '.join('-' if one is None else str(one) for one in theirs)}")
        mine, its = known(chosen, scenario), known(dense, scenario)
        if mine.users is not None and its.users is not None:
            off = mine.users / its.users - 1
            text = f"{mine.users:.1f} users beside {its.users:.1f} ({off:+.0%})"
            verdicts.append((f"{scenario}: knee", text, abs(off) <= MOST_OFF, f"within {MOST_OFF:.0%}"))
        if mine.full is not None and its.full is not None:
            mark, other = mine.full.users_per_pod, its.full.users_per_pod
            print(f"   70 % of a CPU limit: {mark:.1f} users, {other:.1f} ({mark / other - 1:+.0%})")
    share = equal / questions if questions else 0.0
    verdicts.append(
        ("equal replica answers", f"{share:.0%} of the {questions} answered", share >= LEAST_EQUAL, "at least 95%")
    )
    verdicts.append(("fewer than the reference", str(fewer), fewer == 0, "none"))
    print(f"{refused} loads are more than 1.5 times the highest that the adaptive run drove: no answer")
    for what, figure, is_met, target in verdicts:
        print(f"{'met   ' if is_met else 'MISSED'}  {what}: {figure} ({target})")
    return 0 if all(is_met for _, _, is_met, _ in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
