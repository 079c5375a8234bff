"""Inputs of odd clusters, each with the answer that is right: python -m experiments.benchmarks.cases [-v] [NAME...]

The cases are in experiments/odd_clusters, by kind of fault, each with the public report that it was made after. Their
series go into a real Prometheus, `mora recommend` runs as a user would run it, and every check of a case is asked of
its answer. The exit code is 1 where an answer is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.odd_clusters.case import KINDS, load
from experiments.odd_clusters.running import Verdict, judge_all


def mora(arguments: Sequence[str]) -> tuple[int, str, str]:
    """The command line in a process of its own, away from the caller's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MORA_")}
    environment |= {"COLUMNS": "160", "NO_COLOR": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "mora", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def main(arguments: list[str]) -> int:
    """Runs the cases of these names, or all."""
    is_verbose = "-v" in arguments
    names = [name for name in arguments if name != "-v"]
    cases = [case for case in load() if not names or case.name in names or case.kind in names]
    if not cases:
        print(f"No such case or kind. Kinds: {', '.join(KINDS)}.", file=sys.stderr)
        return 2

    def done(verdict: Verdict) -> None:
        case = verdict.case
        word = "WRONG" if verdict.wrong else "right"
        print(f"{word}  {case.kind:<10}  {case.name}  ({case.source})", flush=True)
        if is_verbose:
            print(f"       {case.story}")
        for wrong in verdict.wrong:
            print(f"       {wrong}")

    with tempfile.TemporaryDirectory() as folder:
        verdicts = judge_all(cases, Path(folder), mora, done=done)
    right = Counter(verdict.case.kind for verdict in verdicts if not verdict.wrong)
    print("\nkind         right of all")
    for kind in KINDS:
        count = sum(verdict.case.kind == kind for verdict in verdicts)
        if count:
            print(f"{kind:<10}   {right[kind]:>5} {count:>6}")
    print(f"{'all':<10}   {right.total():>5} {len(verdicts):>6}")
    return 0 if right.total() == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
