"""Detectors beside each other on the recorded labelled sets, and the default detector beside its floors and aims.

    python experiments/benchmarks/health_compare.py [--detectors context-distance,robust-z] [--jobs 2] [--cache DIR]

`mora health compare` does the work; see docs/health.md for what is measured and how. Fails where the default is below a
floor, or where another detector's mean VUS-PR over the sets is above its own. Detectors that were fitted on a part of
the series are compared with the default on that part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mora.health.compare_text import render_markdown
from mora.health.labelled import traces_folder
from mora.health.ranking import Comparison, Ranked
from mora.pipeline import cache_folder, compare_detectors

DEFAULT = "context-distance"
# set -> floor and aim of VUS-PR; of event F1, with the most false alarms a series and day
VUS = {"nab": (0.28, 0.31), "servers": (0.52, 0.62), "pods": (0.50, 0.55)}
EVENTS = {"nab": ((0.45, 0.15), (0.52, 0.12)), "servers": ((0.45, 0.10), (0.50, 0.05))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=traces_folder())
    parser.add_argument("--detectors", default="", help="names with commas; all by default")
    parser.add_argument("--thresholds", default="tracking,own", help="the first is judged")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=cache_folder("compare"))
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    comparison = compare_detectors(
        detectors=[name for name in asked.detectors.split(",") if name],
        thresholds=asked.thresholds.split(","),
        reference=DEFAULT,
        jobs=asked.jobs,
        cache_dir=asked.cache,
        traces=asked.traces,
    )
    print(render_markdown(comparison))
    print(own_rules(comparison))
    verdicts = [*floors(comparison), *rivals(comparison)]
    for is_reached, text in verdicts:
        print(f"{'reached' if is_reached else 'MISSED '}  {text}")
    return 0 if all(is_reached for is_reached, _ in verdicts) else 1


def own_rules(comparison: Comparison) -> str:
    """What the rule of each document gives, whatever it flags."""
    lines = ["By the rule of the document that a detector comes from:", ""]
    for row in comparison.ranked("own") if "own" in comparison.thresholds else ():
        if row.events.judged:
            lines.append(
                f"- {row.set_name}, {row.detector}: event F1 {row.events.f1:.2f}, "
                f"{row.events.false_alarms_per_day:.2f} false alarms for each series and day, "
                f"{row.events.flagged_share:.1%} of the samples flagged"
            )
    return "\n".join(lines) + "\n"


def floors(comparison: Comparison) -> Iterator[tuple[bool, str]]:
    """The default beside its floors; its aims are printed and fail nothing."""
    for row in comparison.ranked():
        if row.detector != DEFAULT:
            continue
        floor, aim = VUS[row.set_name]
        yield row.vus_pr >= floor, f"{row.set_name}: VUS-PR {row.vus_pr:.3f}, floor {floor:.2f}, aim {aim:.2f}"
        if row.set_name in EVENTS:
            (least, most), (better, fewer) = EVENTS[row.set_name]
            found, wrong = row.events.f1, row.events.false_alarms_per_day
            yield (
                found >= least and wrong <= most,
                f"{row.set_name}: event F1 {found:.2f} at {wrong:.3f} false alarms for each series and day, "
                f"floor {least:.2f} at {most:.2f}, aim {better:.2f} at {fewer:.2f}; "
                f"{row.events.flagged_share:.1%} of the samples flagged",
            )


def rivals(comparison: Comparison) -> Iterator[tuple[bool, str]]:
    """Each other detector's mean VUS-PR over the sets, beside the default's on the same series."""
    vus = {(one.detector, one.set_name, one.series): one.vus_pr for one in comparison.results}
    for detector in comparison.detectors:
        if detector == DEFAULT:
            continue
        theirs, ours = [], []
        for name in comparison.sets:
            shared = [
                (value, vus[DEFAULT, name, series])
                for (who, where, series), value in vus.items()
                if (who, where) == (detector, name) and np.isfinite(value)
            ]
            if shared:
                theirs.append(np.mean([their for their, _ in shared]))
                ours.append(np.mean([our for _, our in shared]))
        if theirs:
            rows: list[Ranked] = [row for row in comparison.ranked() if row.detector == detector]
            series = ", ".join(f"{row.series} of {comparison.series_of(row.set_name)}" for row in rows)
            yield (
                bool(np.mean(ours) > np.mean(theirs)),
                f"{DEFAULT} {np.mean(ours):.3f}, {detector} {np.mean(theirs):.3f} on {series} series",
            )


if __name__ == "__main__":
    sys.exit(main())
