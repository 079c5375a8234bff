"""Reading unified CSVs and their JSON, strictly: what is wrong is named by file and line."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from mora import documents
from mora.dataset.card import CARD, MOST_CARD_BYTES
from mora.dataset.layout import (
    CONSTANT_COLUMNS,
    DEFAULT_NAMESPACE,
    SCHEMA_VERSION,
    TEXT_COLUMNS,
    Columns,
    experiment_files,
    list_services,
    service_folder,
)
from mora.dataset.quality import JUDGED, outliers, without_impossible
from mora.domain import Reason
from mora.errors import BadDataset, NotEnoughData
from mora.files import read_regular
from mora.metrics import (
    ALL_COLUMNS,
    CORE_COLUMNS,
    EXTRA_COLUMNS,
    MOST,
    OBSERVED_SCENARIO,
)
from mora.quantities import format_duration, format_moment

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_ODD_NUMBER = frozenset("_nN \t")
# Two months of samples every five seconds; what is read takes ten times as much memory.
MOST_CSV_BYTES = 300 * 2**20
# Two years of samples every fifteen seconds.
_MOST_STEPS = 4_200_000
_COUNTS = frozenset({"replica_count", "load_users"})
# Containers are younger than the one, and no clock of today shows the other.
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


def read_dataset(
    service: str,
    data_dir: Path | str = "data",
    *,
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
) -> pd.DataFrame:
    """All experiments of a service, one row a sample, sorted by experiment_id and timestamp.

    Columns are metrics.ALL_COLUMNS: `timestamp` aware UTC, the names text, all else float64 (NaN where nothing was
    measured, replica_count and load_users where nothing was driven). Experiments whose quality is not complete are
    left out unless `include_flagged`.
    Raises BadDataset naming file and line, NotEnoughData where every experiment is flagged.
    """
    return read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged).frame


@dataclass(frozen=True, slots=True)
class Samples:
    """The rows of read_dataset(), and what was left out of them.

    left_out: experiments that are not among the rows -> why. blanked: those of which some samples are not known any
    more -> which and why.
    """

    frame: pd.DataFrame
    left_out: Mapping[str, str]
    blanked: Mapping[str, str]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What was left out, for the reasons of what is made of the rows."""
        return (
            *_named("experiments-left-out", "flagged experiments are not used", self.left_out),
            *_named("samples-left-out", "histories have samples that cannot be use, left out", self.blanked),
        )


def _named(code: str, what: str, why: Mapping[str, str]) -> list[Reason]:
    some = "; ".join(f"{name} ({words})" for name, words in list(why.items())[:3])
    return [Reason(code, f"{len(why)} {what}: {some}" + ("; ..." if len(why) > 3 else ""))] if why else []


def read_samples(
    service: str,
    data_dir: Path | str = "data",
    *,
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
) -> Samples:
    """The rows of read_dataset(), and what was left out of them. What read_dataset() raises is raised."""
    cards = read_cards(service, data_dir, namespace=namespace)
    folder = service_folder(data_dir, service, namespace=namespace)
    parsed = {path: parse_columns(path, _read_bytes(path)) for path in experiment_files(folder)}
    _check_identities(parsed, service)
    left_out = {} if include_flagged else _flagged(parsed, cards)
    kept = [columns for path, columns in parsed.items() if path.stem not in left_out]
    if not kept:
        name, why = next(iter(left_out.items()))
        raise NotEnoughData(
            f"None of the {len(parsed)} experiments of {service!r} in {folder} passed its quality check "
            f"({name}: {why}).",
            hint="Collect again, or use them all the same with --include-flagged.",
        )
    frame = _to_frame(kept)
    if include_flagged:
        return Samples(frame, left_out, {})
    blanked: dict[str, str] = {}
    for experiment, rows in frame[frame["scenario"] == OBSERVED_SCENARIO].groupby("experiment_id", sort=False):
        believed, changes = without_impossible(rows)
        if changes:
            frame.loc[rows.index, list(JUDGED)] = believed[list(JUDGED)]
            blanked[str(experiment)] = "; ".join(changes)
    return Samples(frame, left_out, blanked)


def _flagged(parsed: Mapping[Path, Columns], cards: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Experiments that did not pass their quality check, or whose samples have outliers: id -> why."""
    found = {}
    for path, columns in parsed.items():
        quality = cards.get(path.stem, {}).get("quality") or {}
        if not quality.get("is_complete", True):
            found[path.stem] = "; ".join(quality.get("flags", ())) or "its quality check failed"
        elif odd := outliers(columns):
            found[path.stem] = "; ".join(odd)
    return found


def read_cards(
    service: str, data_dir: Path | str = "data", *, namespace: str = DEFAULT_NAMESPACE
) -> dict[str, dict[str, Any]]:
    """experiment_id -> its JSON, for every experiment of a service that has one, sorted by id.

    A CSV without a card is data all the same: from another tool, or from a run that was killed between the two.
    """
    folder = service_folder(data_dir, service, namespace=namespace)
    paths = experiment_files(folder) if folder.is_dir() else []
    if not paths:
        known = list_services(data_dir, namespace=namespace)
        near = "".join(f"Did you mean {name}? " for name in difflib.get_close_matches(service, known, n=1))
        raise BadDataset(
            f"There is no data of {service!r} in {folder}.",
            hint=f"{near}Services with data there: {', '.join(known)}."
            if known
            else "Collect some first: mora collect --plan quick",
        )
    cards = {path.stem: path.with_name(f"{path.stem}.json") for path in paths}
    return {name: _read_card(card) for name, card in cards.items() if card.exists()}


def _read_card(path: Path) -> dict[str, Any]:
    hint = "The file was edited or torn. Restore it, or delete the experiment's files and collect it again."
    try:
        card = documents.parse(_decode(path, _read_bytes(path, MOST_CARD_BYTES)))
    except documents.Misfit as error:
        raise BadDataset(f"{path}, {error}.", hint=hint) from error
    version = card.get("schema_version") if isinstance(card, dict) else None
    if not isinstance(version, int):
        raise BadDataset(f"{path}: no schema_version, so this is not an experiment's card.")
    if version > SCHEMA_VERSION:
        raise BadDataset(
            f"{path}: written with schema version {version}, this MOrA reads up to {SCHEMA_VERSION}.",
            hint="Upgrade: pip install --upgrade mora-rightsizing",
        )
    try:
        documents.check(card, CARD)
    except documents.Misfit as error:
        raise BadDataset(f"{path}: {error}.", hint=hint) from error
    return dict(card)


def read_experiment(path: Path) -> pd.DataFrame:
    """One experiment's samples, checked; the columns of read_dataset().

    Raises BadDataset that names file and line: a missing or unknown column, a torn last line, rows out of order, two
    experiments in one file, values that are not numbers, negative or infinite.
    """
    return _to_frame([parse_columns(path, _read_bytes(path))])


def _read_bytes(path: Path, most_bytes: int = MOST_CSV_BYTES) -> bytes:
    try:
        raw = read_regular(path, most_bytes)
    except OSError as error:
        raise BadDataset(f"{path} cannot be read: {error.strerror}.") from error
    if not raw.strip():
        raise BadDataset(f"{path} is empty.", hint="Delete the experiment's files and collect it again.")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadDataset(
            f"{path}, line {line}: byte {raw[error.start]:#04x} is not UTF-8.",
            hint="Save the file as UTF-8, or restore it.",
        ) from error


def parse_columns(path: Path, raw: bytes) -> Columns:
    """The checked columns of one file: texts, aware datetimes and floats, NaN for a gap.

    Written out instead of pandas.read_csv, which fills short lines with NaN, reads "nan" and "NA" as gaps and cannot
    report the line where it failed. A dataset of 36 files of 62 rows takes 15 ms instead of 130, a file of two weeks
    (20,000 rows) 0.3 s.
    """
    lines = _decode(path, raw).replace("\r\n", "\n").split("\n")
    names = _check_header(path, lines[0])
    if lines.pop():
        raise BadDataset(
            f"{path}, line {len(lines) + 1}: the last line is torn (no line end), so its last value cannot be trusted.",
            hint="Delete that line, or the experiment's files and collect it again.",
        )
    if len(lines) < 2:
        raise BadDataset(f"{path}: a header and no samples.", hint="Delete the file and collect it again.")
    rows = [line.split(",") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise BadDataset(f"{path}, line {number}: {len(row)} fields where the header has {len(names)}.")
    columns: Columns = {}
    for name, texts in zip(names, zip(*rows, strict=True), strict=True):
        if name == "timestamp":
            columns[name] = _parse_times(path, texts)
        else:
            columns[name] = list(texts) if name in TEXT_COLUMNS else _parse_numbers(path, name, texts)
    _check_one_experiment(path, columns)
    return columns


def _check_header(path: Path, header: str) -> list[str]:
    names = header.split(",")
    missing = [name for name in CORE_COLUMNS if name not in names]
    if missing:
        if len(missing) == len(CORE_COLUMNS):
            raise BadDataset(
                f"{path}, line 1: this is not the header of a unified CSV.",
                hint="Move the file elsewhere, or restore it: its first line names the eighteen columns, from "
                f"{CORE_COLUMNS[0]} to {CORE_COLUMNS[-1]}.",
            )
        raise BadDataset(
            f"{path}, line 1: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}.",
            hint=f"A unified CSV begins with: {','.join(CORE_COLUMNS)}",
        )
    if tuple(names[: len(CORE_COLUMNS)]) != CORE_COLUMNS:
        raise BadDataset(
            f"{path}, line 1: the eighteen columns are in another order.",
            hint=f"A unified CSV begins with: {','.join(CORE_COLUMNS)}",
        )
    unknown = [name for name in names[len(CORE_COLUMNS) :] if name not in EXTRA_COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    if unknown or twice:
        raise BadDataset(
            f"{path}, line 1: "
            + (f"unknown column {unknown[0]!r}." if unknown else f"column {twice[0]!r} stands twice."),
            hint=f"After the eighteen may follow, once each: {', '.join(EXTRA_COLUMNS)}",
        )
    return names


def _parse_numbers(path: Path, name: str, texts: Sequence[str]) -> list[float]:
    try:
        values = [float(text) if text else math.nan for text in texts]
    except ValueError:
        values = []
    # Python's float() takes more than a CSV may have (nan, 1_000, digits of other scripts); such text is checked.
    together = "".join(texts)
    if not values or not together.isascii() or not _ODD_NUMBER.isdisjoint(together):
        for line, text in enumerate(texts, start=2):
            if text and _NUMBER.fullmatch(text) is None:
                raise BadDataset(
                    f"{path}, line {line}: {name} is {text!r}, not a number.",
                    hint="Write numbers with a decimal point; leave a gap empty.",
                )
    most, is_count = MOST[name], name in _COUNTS
    for line, value in enumerate(values, start=2):
        if value < 0 or value > most:
            raise BadDataset(
                f"{path}, line {line}: {name} is {_wrong(value)}.",
                hint=f"Every value is a finite number from 0 to {most:g}; leave a gap empty. Correct the cell, or "
                "delete the experiment's files and collect it again.",
            )
        if is_count and not math.isnan(value) and value % 1:
            raise BadDataset(f"{path}, line {line}: {name} is {value:g}, not a whole number.")
    return values


def _wrong(value: float) -> str:
    if math.isinf(value):
        return f"infinite ({value:g})"
    return f"negative ({value:g})" if value < 0 else f"impossibly large ({value:g})"


def _parse_times(path: Path, texts: Sequence[str]) -> list[datetime]:
    times: list[datetime] = []
    for line, text in enumerate(texts, start=2):
        try:
            if _UTC_TIME.fullmatch(text) is None:
                raise ValueError(text)  # noqa: TRY301  one complaint for what no pattern and what no calendar knows
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise BadDataset(
                f"{path}, line {line}: timestamp is {text!r}, not a time.",
                hint="Write ISO-8601 in UTC, like 2026-01-31T12:00:00Z.",
            ) from error
        if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
            raise BadDataset(
                f"{path}, line {line}: timestamp is {text!r}, which is not between {_FIRST_YEAR} and {_LAST_YEAR}.",
                hint="Is the clock right that wrote it? Correct the times, or delete the experiment's files and "
                "collect it again.",
            )
        times.append(time)
    return times


def _check_one_experiment(path: Path, columns: Columns) -> None:
    for name in CONSTANT_COLUMNS:
        values = columns[name]
        for line, value in enumerate(values, start=2):
            if value != values[0] and not (value != value and values[0] != values[0]):  # NaN differs from itself
                raise BadDataset(
                    f"{path}, line {line}: {name} changes from {values[0]} to {value}; "
                    "two experiments share one file or one id.",
                    hint="An experiment has a file and an id of its own.",
                )
    for line, (before, after) in enumerate(pairwise(columns["timestamp"]), start=3):
        if after <= before:
            raise BadDataset(
                f"{path}, line {line}: rows out of order: {format_moment(after, 'shortest')} follows "
                f"{format_moment(before, 'shortest')}.",
                hint="Sort the rows by time; where a run was appended twice, keep one of the two.",
            )
    _check_span(path, columns["timestamp"])


def _check_span(path: Path, times: Sequence[datetime]) -> None:
    """One wrong time must not lay a grid over decades."""
    steps = sorted(after - before for before, after in pairwise(times))
    span, step = times[-1] - times[0], steps[len(steps) // 2] if steps else times[-1] - times[0]
    if step and span / step > _MOST_STEPS:
        first, last = (format_moment(time, "shortest") for time in (times[0], times[-1]))
        raise BadDataset(
            f"{path}: the samples span {span.days:,} days ({first} to {last}) at one every {format_duration(step)}.",
            hint="Is one of the times wrong? Correct it, or delete the experiment's files and collect it again.",
        )


def _to_frame(experiments: Sequence[Columns]) -> pd.DataFrame:
    """Experiments one after the other, with every column of ALL_COLUMNS."""
    lengths = [len(columns["timestamp"]) for columns in experiments]
    frame: dict[str, Any] = {}
    for name in ALL_COLUMNS:
        parts = [columns.get(name) or [math.nan] * n for columns, n in zip(experiments, lengths, strict=True)]
        values = list(chain.from_iterable(parts))
        if name == "timestamp":
            frame[name] = pd.DatetimeIndex(values).as_unit("us")
        else:
            frame[name] = pd.Series(values, dtype="str" if name in TEXT_COLUMNS else "float64")
    return pd.DataFrame(frame)


def _check_identities(parsed: Mapping[Path, Columns], service: str) -> None:
    """Within a service's folder: one id a file, named like the file, all of this service."""
    seen: dict[str, Path] = {}
    for path, columns in parsed.items():
        experiment_id = columns["experiment_id"][0]
        if experiment_id in seen:
            raise BadDataset(
                f"{path}, line 2: experiment {experiment_id!r} is in {seen[experiment_id].name} as well.",
                hint="Two experiments may not share an id. A repeat ends in _run_2, _run_3, ...",
            )
        seen[experiment_id] = path
    for path, columns in parsed.items():
        experiment_id, owner = columns["experiment_id"][0], columns["service"][0]
        if experiment_id != path.stem:
            raise BadDataset(
                f"{path}, line 2: the experiment is {experiment_id!r}, and the file's name is of another.",
                hint=f"Name it {experiment_id}.csv, and its JSON likewise.",
            )
        if owner != service:
            raise BadDataset(f"{path}, line 2: belongs to service {owner!r}, not {service!r}.")
