"""What the detectors of two documents do on the data of those documents, and what the features of Helios cost.

    python -m experiments.benchmarks.health_seeds

Isolation forest (CloudSentinel): trained on 80 % of its 5,250 made-up observations and measured on the rest, by its own
rule (contamination 0.05) and by the level that `mora health predict` takes, beside the rule of one line. Then what its
data do not show: one metric alone off, and a healthy history. At least: precision 0.96, recall 0.99, F1 0.98.
Features of Helios: 1,000,000 rows of 7 metrics in at most 10 CPU seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mora.detectors.isolation_forest import IsolationForest
from mora.health.predicting import CONTAMINATION, Quality, level_of, quality_of
from mora.helios_features import features, names
from mora.synthetic import NODE_COLUMNS, NODE_LABEL, nodes

SEEDS = 10
HELIOS = [
    "memory_bytes",
    "cpu_utilization",
    "memory_utilization",
    "db_cpu",
    "db_memory",
    "db_connections",
    "restart_count",
]


def main() -> None:
    print("isolation-forest on the fifth of 5,250 observations that it was not trained on: precision, recall, F1")
    for seed in (42, *range(SEEDS)):
        table = nodes(seed=seed)
        trained, rest = parts(table, seed)
        detector = IsolationForest()
        detector.fit(table.loc[trained, list(NODE_COLUMNS)])
        usual = detector.score(table.loc[trained])
        scores, labels = detector.score(table.loc[rest]), table.loc[rest, NODE_LABEL].to_numpy() == 1
        own = quality_of(scores > np.quantile(usual, 1 - CONTAMINATION), labels)
        ours = quality_of(scores > level_of(usual, CONTAMINATION), labels)
        rule = quality_of(table.loc[rest, "cpu_percent"].to_numpy() > 80, labels)
        print(f"  seed {seed:<3} own rule {words(own)}   mora {words(ours)}   cpu_percent > 80 {words(rule)}")
        if seed == 42:
            is_met = ours.precision >= 0.96 and ours.recall >= 0.99 and ours.f1 >= 0.98
            print(f"  at least 0.96, 0.99, 0.98: {'met' if is_met else 'NOT MET'}")
            levels = {"own rule": np.quantile(usual, 1 - CONTAMINATION), "mora": level_of(usual, CONTAMINATION)}
            one_off(detector, levels)
    clean = nodes(ordinary=10_000, abnormal=0).drop(columns=NODE_LABEL)
    detector = IsolationForest()
    detector.fit(clean[:5000])
    flagged = detector.score(clean[5000:]) > np.quantile(detector.score(clean[:5000]), 1 - CONTAMINATION)
    print(f"  trained on a healthy history, of as many healthy observations {flagged.mean():.1%} are flagged")

    rng = np.random.default_rng(0)
    values, seconds = rng.random((1_000_000, 7)), 300.0 * np.arange(1_000_000)
    begin = time.process_time()
    made = features(seconds, values, HELIOS)
    taken = time.process_time() - begin
    print(f"features of Helios: {made.shape[0]:,} rows x 7 metrics -> {len(names(HELIOS))} features, {taken:.1f} CPU-s")
    print(f"  at most 10 s: {'met' if taken <= 10 else 'NOT MET'}")


def one_off(detector: IsolationForest, levels: dict[str, float]) -> None:
    """How many observations are found of which one metric alone has the value of an abnormal node."""
    table = nodes(ordinary=1000, abnormal=1000, seed=7)
    odd, usual = (table[table[NODE_LABEL] == label].reset_index(drop=True) for label in (1, 0))
    for rule, level in levels.items():
        found = {name: (detector.score(usual.assign(**{name: odd[name]})) > level).mean() for name in NODE_COLUMNS}
        print(
            f"  one metric alone off, found by {rule}: " + ", ".join(f"{n} {share:.0%}" for n, share in found.items())
        )


def parts(table: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four fifths to train on and one to measure on, the same share of labels in both, as the document splits them."""
    from sklearn.model_selection import train_test_split

    trained, rest = train_test_split(
        np.arange(len(table)), test_size=0.2, random_state=seed, stratify=table[NODE_LABEL]
    )
    return trained, rest


def words(quality: Quality) -> str:
    return f"{quality.precision:.4f} {quality.recall:.4f} {quality.f1:.4f}"


if __name__ == "__main__":
    main()
