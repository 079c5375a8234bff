"""The solvers of `mora optimize` on made-up shops: python experiments/benchmarks/optimize_solver.py

Services have the latency of a processor-sharing queue, at 40 sizes and 2 replica counts each, two classes, seeded.
Promised: 20 services within 1 s exactly, 100 services within 5 s; the search for many services within 1 % of the
exact cost on average (on shops that can be solved exactly).
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mora.optimize.exact import cheapest
from mora.optimize.greedy import cheap
from mora.optimize.problem import Option, undominated
from tests.optimize.problems import problem

SHOPS = 10


def cost(options: list[list[Option]], choice: tuple[int, ...]) -> float:
    return sum(options[service][place].cost for service, place in enumerate(choice))


def main() -> int:
    print(f"{'services':>8} {'options':>8} {'exact s':>8} {'search s':>9} {'search over exact':>18}")
    slowest: dict[tuple[str, int], float] = {}
    gaps: dict[int, list[float]] = {}
    for count in (5, 20, 100):
        for seed in range(SHOPS):
            options, limits = problem(random.Random(1000 * count + seed), count, sizes=40)
            options = [undominated(own, sizes_matter=False) for own in options]
            began = time.perf_counter()
            exact = cost(options, cheapest(options, limits))
            middle = time.perf_counter()
            found = cost(options, cheap(options, limits))
            end = time.perf_counter()
            gaps.setdefault(count, []).append(found / exact - 1)
            for name, took in (("exact", middle - began), ("search", end - middle)):
                slowest[name, count] = max(slowest.get((name, count), 0.0), took)
        each = sum(map(len, options)) / count
        print(
            f"{count:>8} {each:>8.0f} {slowest['exact', count]:>8.2f} {slowest['search', count]:>9.2f}"
            f" {mean(gaps[count]):>9.2%} (at most {max(gaps[count]):.2%})"
        )
    kept = slowest["exact", 20] <= 1.0 and slowest["search", 100] <= 5.0 and mean(gaps[100]) <= 0.01
    print("kept" if kept else "MISSED", "(the slowest of", SHOPS, "shops counts; exact costs are within 0.01 %)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
