"""Reads a plan from TOML: every key is checked, and an invalid one is an error that names its place."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

from mora import values
from mora.domain import check_name
from mora.errors import BadInput
from mora.harness.plan import (
    MIN_SAMPLES,
    PLAIN_LOCUST,
    Adaptive,
    Cell,
    LocustOptions,
    Plan,
    RemoteLimits,
    find_scenario,
)
from mora.harness.tomltable import TomlTable
from mora.quantities import format_duration

# A year of the shortest experiments.
_MOST_EXPERIMENTS = 500_000
_WHOLE_SECOND = timedelta(seconds=1)
_count, _count_or_none = values.whole(1, is_text_read=False), values.whole(0, is_text_read=False)


def parse_plan(path: Path) -> Plan:
    """The plan of a TOML file; BadConfig with file and key of what is invalid."""
    table = TomlTable.read(path, "plan")
    adaptive = table.table("adaptive")
    cells, files = _parse_cells(path, table, is_adaptive=adaptive is not None)
    locust, remote = table.table("locust"), table.table("remote")
    plan = Plan(
        name=path.stem,
        path=path,
        cells=cells,
        scenario_files=files,
        repeats=table.get("repeats", _count, Plan.repeats),
        duration=table.get("duration", values.written_span, Plan.duration),
        settle=table.get("settle", values.written_span, Plan.settle),
        ramp=table.get("ramp", values.written_span, Plan.ramp),
        sample_interval=table.get("sample_interval", values.written_span, Plan.sample_interval),
        seed=table.get("seed", _count_or_none, Plan.seed),
        targets=table.get("targets", _service_names, ()),
        description=table.get("description", values.string, ""),
        locust=_parse_locust(locust) if locust else PLAIN_LOCUST,
        remote=_parse_remote(remote) if remote else None,
        adaptive=_parse_adaptive(adaptive) if adaptive else None,
    )
    table.check_all_known()
    if plan.adaptive is not None and plan.repeats > 1:
        raise table.fail("repeats", "an adaptive plan repeats a run only where that decides something.")
    if len(plan.cells) * plan.repeats > _MOST_EXPERIMENTS:
        raise table.fail(
            "repeats",
            f"{len(plan.cells)} cells, each {plan.repeats} times, are {len(plan.cells) * plan.repeats:,} experiments; "
            f"a plan has at most {_MOST_EXPERIMENTS:,}.",
        )
    _check_window(table, plan)
    return plan


def _parse_cells(path: Path, table: TomlTable, *, is_adaptive: bool) -> tuple[tuple[Cell, ...], dict[str, Path]]:
    """The product of scenarios, replicas and users, or the cells that are listed one by one; none where adaptive."""
    files: dict[str, Path] = {}

    def scenario(value: Any) -> str:
        name, file = find_scenario(values.string(value), path.parent)
        if files.setdefault(name, file) != file:
            raise BadInput(f"two scenarios are named {name!r}.", hint="Rename one of the locustfiles.")
        return name

    if is_adaptive:
        for key in ("cells", "replicas", "users", "rps"):
            if key in table:
                raise table.fail(key, "an adaptive plan chooses its replicas and users itself.")
        table.get("scenarios", values.list_of(scenario), is_required=True)
        return (), files
    listed = table.tables("cells")
    if listed:
        for key in ("scenarios", "replicas", "users", "rps"):
            if key in table:
                raise table.fail(key, "a plan has [[cells]], or scenarios, replicas and users; not both.")
        cells = [
            Cell(
                scenario=cell.get("scenario", scenario, is_required=True),
                replicas=cell.get("replicas", _count, is_required=True),
                users=cell.get("users", _count, 0, is_required="rps" not in cell),
                requests_per_second=cell.get("rps", values.rate, 0.0),
                duration=cell.get("duration", values.written_span),
            )
            for cell in listed
        ]
        for cell in listed:
            cell.check_all_known()
            _refuse_both_loads(cell)
    else:
        names = table.get("scenarios", values.list_of(scenario), is_required=True)
        replicas = table.get("replicas", values.list_of(_count), is_required=True)
        users = table.get("users", values.list_of(_count), (), is_required="rps" not in table)
        rates = table.get("rps", values.list_of(values.rate), ())
        _refuse_both_loads(table)
        cells = [Cell(*values) for values in product(names, replicas, users)]
        cells += [
            Cell(name, count, 0, requests_per_second=rate) for name, count, rate in product(names, replicas, rates)
        ]
    twice = sorted(cell for cell, times in Counter(cells).items() if times > 1)
    if twice:
        raise table.fail("cells", f"{twice[0]} is listed twice.", hint="Repeat experiments with the key `repeats`.")
    return tuple(cells), files


def _refuse_both_loads(table: TomlTable) -> None:
    if "users" in table and "rps" in table:
        raise table.fail("rps", "a load is in users, or in requests per second; not both.")


def _parse_locust(table: TomlTable) -> LocustOptions:
    options = LocustOptions(
        processes=table.get("processes", _count, LocustOptions.processes),
        workers=table.get("workers", _count_or_none, LocustOptions.workers),
        master_bind_host=table.get("master_bind_host", values.string, LocustOptions.master_bind_host),
        master_bind_port=table.get("master_bind_port", _count, LocustOptions.master_bind_port),
        arguments=table.get("arguments", lambda value: tuple(values.list_of(values.string)(value)), ()),
    )
    table.check_all_known()
    if options.processes > 1 and options.workers:
        raise table.fail("workers", "set processes on this machine, or workers on others; not both.")
    return options


def _parse_remote(table: TomlTable) -> RemoteLimits:
    limits = RemoteLimits(
        abort_error_ratio=table.get("abort_error_ratio", values.ratio, is_required=True),
        max_duration=table.get("max_duration", values.written_span, is_required=True),
    )
    table.check_all_known()
    return limits


def _parse_adaptive(table: TomlTable) -> Adaptive:
    adaptive = Adaptive(
        first_users=table.get("first_users", _count, Adaptive.first_users),
        within=table.get("within", values.positive_ratio, Adaptive.within),
        max_runs=table.get("max_runs", _count, Adaptive.max_runs),
        max_users=table.get("max_users", _count, Adaptive.max_users),
        below=table.get("below", values.written_span, Adaptive.below),
        short=table.get("short", values.written_span, Adaptive.short),
        check_replicas=table.get("check_replicas", _count, Adaptive.check_replicas),
    )
    table.check_all_known()
    if adaptive.max_users < adaptive.first_users:
        raise table.fail("max_users", f"must be at least first_users ({adaptive.first_users}).")
    return adaptive


def _check_window(table: TomlTable, plan: Plan) -> None:
    spans = {"duration": plan.duration, "sample_interval": plan.sample_interval}
    if plan.adaptive is not None:
        spans |= {"adaptive.below": plan.adaptive.below, "adaptive.short": plan.adaptive.short}
    spans |= {f"cells[{n}].duration": cell.duration for n, cell in enumerate(plan.cells) if cell.duration is not None}
    for key, span in spans.items():
        if span % _WHOLE_SECOND:
            raise table.fail(key, "queries go to Prometheus at whole seconds; give a whole number of seconds.")
        samples = span // plan.sample_interval
        if key != "sample_interval" and samples < MIN_SAMPLES:
            raise table.fail(
                key,
                f"{format_duration(span)} every {format_duration(plan.sample_interval)} are {samples} samples; "
                f"a window needs at least {MIN_SAMPLES}.",
                hint="The models learn from windows of 60 samples and more.",
            )


def _service_names(value: object) -> tuple[str, ...]:
    return tuple(values.list_of(lambda one: check_name(values.string(one), "service name"))(value))
