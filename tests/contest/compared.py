"""A contest with hostile names, a failure and a skipped series, to be told in every form."""

from __future__ import annotations

from functools import cache

from mora.backtest.history import History
from mora.contest import evaluate
from mora.contest.ranking import tables
from mora.contest.text import Comparison
from tests.contest.making import Constant, Failing, wave

HOSTILE = "<b>|shop\x1b[31m"


@cache
def compared() -> tuple[Comparison, tuple[History, ...]]:
    histories = (wave(8.0, name=HOSTILE), wave(8.0, name="web", seed=1))
    found = evaluate(histories, {"half": Constant(0.5), "failing": Failing()})
    start = float(histories[0].series.start)
    comparison = Comparison(
        tables=tuple(tables(found)),
        models=("naive", "half", "failing"),
        skipped=("short: Not enough history.",),
        folds=3,
        window_seconds=None,
        seed=0,
        source="made.parquet",
        first=start,
        last=start + 8 * 86_400.0,
        samples=2 * 8 * 288,
    )
    return comparison, histories
