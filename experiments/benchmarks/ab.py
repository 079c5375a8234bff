"""How often a challenger takes over that is no better, and how soon one that is: python experiments/benchmarks/ab.py

Made-up forecast errors of 60 days, hour by hour and day by day, of CPU and memory: busy and quiet times follow each
other (autocorrelation .95 from hour to hour), both models err on the same surprises (correlation .7), and the
challenger's mean error is smaller by a known share. They go through the decision of `mora ab` (mora/model/trial.py);
beside it a t-test at 5 % that is looked at after every window, as a person would. Seeded.
Promised: of challengers that are no better at most 5 % take over; of those with an error smaller by 30 % nine of ten do
within 30 days.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mora.model.trial_record import ALPHA
from mora.sequential import evidence

RUNS, DAYS = 400, 60
GAINS = (-0.3, -0.1, 0.0, 0.05, 0.1, 0.2, 0.3)
HORIZONS = (1, 24)


def errors(rng: np.random.Generator, gain: float, count: int, memory: float) -> np.ndarray:
    """Errors of champion and challenger in units of the naive forecast's usual one; shape (2, 2 targets, count)."""
    found = np.empty((2, 2, count))
    for target in range(2):
        busy = np.empty(count)
        busy[0] = rng.normal()
        for place in range(1, count):
            busy[place] = memory * busy[place - 1] + np.sqrt(1 - memory**2) * rng.normal()
        surprise, own = rng.normal(size=count), rng.normal(size=(2, count))
        spread = 0.3 * np.exp(0.5 * busy)
        for model, share in enumerate((1.0, 1.0 - gain)):
            found[model, target] = share * spread * np.abs(0.84 * surprise + 0.55 * own[model])
    return np.minimum(found, 1.0)


def first_above(values: np.ndarray, needed: float) -> float:
    """The window after which a value is reached; infinite where it never is."""
    reached = np.flatnonzero(values >= needed)
    return float(reached[0]) if len(reached) else np.inf


def t_values(differences: np.ndarray) -> np.ndarray:
    counts = np.arange(1, len(differences) + 1)
    means = np.cumsum(differences) / counts
    spread = np.sqrt(np.maximum(np.cumsum(differences**2) / counts - means**2, 1e-12))
    return np.where(counts >= 10, means / spread * np.sqrt(counts), 0.0)


def main() -> int:
    print(f"{RUNS} services, {DAYS} days, {ALPHA:.0%} risk")
    print(
        f"{'error of the challenger':>24} {'takes over':>11} {'median days':>12} {'sent away':>10} {'t-test errs':>12}"
    )
    shares = {}
    for gain in GAINS:
        rng = np.random.default_rng([7, round(1000 * (gain + 1))])
        taken, away, fooled = [], [], []
        for _ in range(RUNS):
            better, worse, looked = [], [], []
            for hours in HORIZONS:
                champion, challenger = errors(rng, gain, DAYS * 24 // hours, 0.95 ** min(hours, 12))
                differences = (champion - challenger).mean(axis=0)
                needed = len(HORIZONS) / ALPHA
                better.append(first_above(evidence(differences), needed) * hours / 24)
                worse.append(first_above(evidence(-differences), needed) * hours / 24)
                looked.append(first_above(t_values(differences), 1.645))
            taken.append(min(better) if min(better) < min(worse) else np.inf)
            away.append(min(worse) if min(worse) < min(better) else np.inf)
            fooled.append(min(looked))
        days = np.array(taken)
        share = float(np.isfinite(days).mean())
        shares[gain] = share, float((days <= 30).mean())
        median = f"{np.median(days[np.isfinite(days)]):.1f}" if share else "-"
        wrong = f"{np.isfinite(fooled).mean():.0%}" if gain <= 0 else "-"
        sent = f"{np.isfinite(away).mean():.0%}"
        print(f"{f'{0.0 - gain:+.0%}':>24} {f'{share:.1%}':>11} {median:>12} {sent:>10} {wrong:>12}")
    kept = all(shares[gain][0] <= ALPHA for gain in GAINS if gain <= 0) and shares[0.3][1] >= 0.9
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
