"""What `mora serve` shows of the made-up fleet after a month in which its teams applied recommendations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from experiments.example_fleet import END, recommended
from mora.outputs import OutputSettings
from mora.record.numbers import Use
from mora.record.store import Record
from mora.savings import Prices
from mora.web.answer import Answer, answer_document, entry_document, read_answer

NOW = END.timestamp()
_DAY = 86_400.0
_DAYS = 30


def answer(count: int) -> Answer:
    """The answer to a fleet of so many workloads."""
    settings = OutputSettings(prices=Prices(), verbose=True)
    entries = [entry_document(one, settings) for one in recommended(count)]
    found = read_answer(json.loads(json.dumps(answer_document(NOW, entries, [], settings.prices))))
    if found is None:
        raise ValueError("the answer cannot be read")
    return found


def month(path: Path, made: Answer) -> None:
    """A record of the month before: day by day more workloads get what was recommended; one of them is exceeded."""
    now = list(made.seen(""))
    names = sorted({(one.key.namespace, one.key.workload) for one in now})
    with Record(path) as record:
        for day in range(_DAYS, -1, -1):
            share = 1 + 2.2 * day / _DAYS
            at = NOW - day * _DAY
            # Before its team applied it, a workload requested 1.5 times what it requests now.
            waits = set(names[: len(names) * day // _DAYS // 2])
            seen = [
                replace(
                    one, now=None if one.now is None else one.now * 3 // 2, value=one.now or one.value, goal=one.value
                )
                if (one.key.namespace, one.key.workload) in waits and one.key.number.endswith("_request")
                else one
                for one in now
            ]
            totals = [
                replace(
                    total,
                    reserved_cores=total.reserved_cores + total.waste_cores * (share - 1),
                    reserved_bytes=total.reserved_bytes + total.waste_bytes * (share - 1),
                    waste_cores=total.waste_cores * share,
                    waste_bytes=total.waste_bytes * share,
                )
                for total in made.totals("")
            ]
            uses = {
                one.episode: Use(one.since, at, 288, one.amount * (1.2 if number == 0 else 0.7))
                for number, one in enumerate(record.in_force(""))
            }
            record.take("", at, seen, totals, uses=uses)
