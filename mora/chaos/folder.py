"""The folder of a run: a folder for each part, written when the part has ended, whole or not at all.

FOLDER/SCENARIO.toml        a copy of the scenario
FOLDER/part-1/run.json      what was run, when, and until when the detector may learn
FOLDER/part-1/labels.csv    the faults as they were in force
FOLDER/part-1/SERVICE.csv   the metrics of a service, every second
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora import __version__, documents
from mora.chaos.labels import LABELS, Label, labels_text, read_labels
from mora.chaos.scenario import Scenario, same_scenario
from mora.domain import is_name
from mora.errors import BadConfig, BadDataset, BadInput
from mora.files import json_text, read_regular, write_files
from mora.quantities import format_moment

if TYPE_CHECKING:
    import pandas as pd

RUN = "run.json"
SCHEMA_VERSION = 1
_MOST_BYTES = 256 * 2**20
_PART = re.compile(r"part-(\d{1,3})", re.ASCII)


def _name(value: Any, where: str) -> None:
    documents.text(value, where)
    if not is_name(value):
        raise documents.Misfit(f"{where} is not a name that Kubernetes allows")


_SHAPE = documents.fields(
    {
        "schema_version": documents.whole(),
        "digest": documents.text,
        "scenario": documents.text,
        "part": documents.whole(1, 1000),
        "namespace": _name,
        "services": documents.items(_name, least=1),
        "began": documents.moment,
        "learnt_until": documents.moment,
        "ended": documents.moment,
        "step_seconds": documents.number(0.001, 86400),
        "contended": documents.items(documents.text),
        "calls": documents.items(documents.items(_name, least=2)),
        "requests": documents.whole(),
        "failures": documents.whole(),
        "mora": documents.text,
    }
)


@dataclass(frozen=True, slots=True)
class RunPart:
    """One part of a run. frames: service -> `timestamp` and its metrics, a row a step.

    learnt_until: what is before is healthy, and the detector may learn from it. calls: who called whom. contended: what
    else the machine did that could have changed what was measured.
    """

    digest: str
    scenario: str
    number: int
    namespace: str
    began: datetime
    learnt_until: datetime
    ended: datetime
    step_seconds: float
    labels: tuple[Label, ...]
    frames: Mapping[str, pd.DataFrame]
    contended: tuple[str, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    requests: int = 0
    failures: int = 0


def part_folder(folder: Path, number: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{number}"


def write_part(folder: Path, part: RunPart) -> Path:
    """Write a part; run.json is the last file, so that a part without it is not finished."""
    place = part_folder(folder, part.number)
    document = {
        "schema_version": SCHEMA_VERSION,
        "digest": part.digest,
        "scenario": part.scenario,
        "part": part.number,
        "namespace": part.namespace,
        "services": sorted(part.frames),
        "began": format_moment(part.began, "shortest"),
        "learnt_until": format_moment(part.learnt_until, "shortest"),
        "ended": format_moment(part.ended, "shortest"),
        "step_seconds": part.step_seconds,
        "contended": list(part.contended),
        "calls": sorted(map(list, part.calls)),
        "requests": part.requests,
        "failures": part.failures,
        "mora": __version__,
    }
    csvs = [(place / f"{name}.csv", _csv(frame)) for name, frame in sorted(part.frames.items())]
    write_files([*csvs, (place / LABELS, labels_text(part.labels)), (place / RUN, json_text(document))])
    return place


def begin(folder: Path, scenario: Scenario) -> None:
    """Keep a copy of the scenario in the folder of its run.

    Raises BadConfig where the folder has a run of another scenario, or a .toml file that no run put there.
    """
    parts = finished_parts(folder)
    for place in parts.values():
        same_scenario(read_document(place)["digest"], scenario)
    text = scenario.path.read_bytes()
    copy = folder / f"{scenario.name}.toml"
    for found in sorted(folder.glob("*.toml")):
        # A copy of before may be replaced where finished parts of the same scenario lie beside it: it differs in what a
        # run does not depend on. Everything else may be somebody's only one.
        if found != copy or not (parts or found.samefile(scenario.path) or found.read_bytes() == text):
            raise BadConfig(
                f"{folder} has a file {found.name!r} already, which is not of this run.",
                hint="Name another folder with --out, or delete the file.",
            )
    if not (copy.exists() and copy.samefile(scenario.path)):
        write_files([(copy, text.decode("utf-8"))])


def read_run(folder: Path) -> tuple[Scenario, list[RunPart]]:
    """The scenario of a run and its finished parts; BadInput where there is none."""
    copies = sorted(folder.glob("*.toml"))
    places = finished_parts(folder)
    if len(copies) != 1 or not places:
        raise BadInput(
            f"{folder} has no finished part of a run.", hint="Run a scenario: mora chaos run one-fault --out FOLDER"
        )
    scenario = Scenario.of_run(copies[0])
    parts = [read_part(place) for place in places.values()]
    for part in parts:
        same_scenario(part.digest, scenario)
    return scenario, parts


def _csv(frame: pd.DataFrame) -> str:
    text = io.StringIO()
    frame.to_csv(text, index=False, float_format="%.9g", date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")
    return text.getvalue()


def finished_parts(folder: Path) -> dict[int, Path]:
    """Number -> folder of the parts that are finished, in order."""
    found = {}
    for path in folder.glob("part-*"):
        match = _PART.fullmatch(path.name)
        if match is not None and (path / RUN).is_file():
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_document(place: Path) -> dict[str, Any]:
    """The run.json of a part; BadDataset where it is not one that write_part() wrote."""
    try:
        found: dict[str, Any] = documents.parse(read_regular(place / RUN, _MOST_BYTES))
        documents.check(found, _SHAPE)
    except OSError as error:
        raise BadDataset(f"{place / RUN} cannot be read: {error.strerror or error}.") from error
    except documents.Misfit as misfit:
        raise BadDataset(f"{place / RUN}: {misfit}.", hint="Run the scenario again: mora chaos run") from misfit
    if found["schema_version"] != SCHEMA_VERSION:
        raise BadDataset(f"{place / RUN} has schema {found['schema_version']}, and this MOrA reads {SCHEMA_VERSION}.")
    return found


def read_part(place: Path) -> RunPart:
    """A part; BadDataset where a file of it is missing or not what it should be."""
    from mora.health.reading import read_file

    document = read_document(place)
    began, learnt_until, ended = (
        datetime.fromisoformat(document[name]).astimezone(UTC) for name in ("began", "learnt_until", "ended")
    )
    if not began < learnt_until <= ended:
        raise BadDataset(f"{place / RUN}: began, learnt_until and ended are not in this order.")
    missing = [name for name in document["services"] if not (place / f"{name}.csv").is_file()]
    if missing:
        raise BadDataset(f"{place} lacks {missing[0]}.csv.", hint="Run the scenario again: mora chaos run")
    return RunPart(
        digest=document["digest"],
        scenario=document["scenario"],
        number=document["part"],
        namespace=document["namespace"],
        began=began,
        learnt_until=learnt_until,
        ended=ended,
        step_seconds=float(document["step_seconds"]),
        labels=tuple(read_labels(place / LABELS)),
        frames={name: read_file(place / f"{name}.csv").frame for name in document["services"]},
        contended=tuple(document["contended"]),
        calls=tuple((pair[0], pair[1]) for pair in document["calls"]),
        requests=document["requests"],
        failures=document["failures"],
    )
