"""What a model's card and its load response must look like to be believed.

The checksums of a folder show that it was not edited by accident; who makes a model by hand makes those, too. So
every field that is read later is checked when a model is loaded, and amounts are possible ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mora.documents import (
    Check,
    Misfit,
    anything,
    check,
    fields,
    flag,
    items,
    mapping,
    moment,
    number,
    one_of,
    optional,
    pair,
    text,
    whole,
)
from mora.domain import Target, is_name
from mora.metrics import MOST, MOST_BYTES, MOST_CORES

_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}", re.ASCII)
_MOST_SECONDS = 10 * 365 * 86400
_MOST_ROWS = 10**12


def _name(value: Any, where: str) -> None:
    text(value, where)
    if not is_name(value):
        raise Misfit(f"{where} is not a name that Kubernetes allows")


def _kind(value: Any, where: str) -> None:
    text(value, where)
    if not _KIND.fullmatch(value):
        raise Misfit(f"{where} is not a kind of workload")


_TARGET = one_of(*(target.value for target in Target))
_REASONS = items(pair(text, text))
_SHARES = mapping(number(0, 1))
_ERRORS = fields({"mean": number(0), "p95": number(0)})
_TABLE = fields(
    {
        "errors": mapping(_ERRORS),
        "level": number(0),
        "shares": _SHARES,
        "windows": whole(0, _MOST_ROWS),
        "experiments": whole(0, _MOST_ROWS),
        "reasons": _REASONS,
    }
)
_CALIBRATION_FIELDS = {
    "target": _TARGET,
    "shares": _SHARES,
    # More than this above the mean use is no bound but a mistake.
    "multiplier": number(0, 1e6),
    "multiplier_windows": whole(0, _MOST_ROWS),
    "is_prior": flag,
    "kept": whole(0, _MOST_ROWS),
    "windows": whole(0, _MOST_ROWS),
    "prior": number(0, 1),
    "reasons": _REASONS,
}
# Models of before do not say what their shares are (those of the blend), nor how far a forecast may reach.
_CALIBRATION = fields(
    {**_CALIBRATION_FIELDS, "model": text, "reach": optional(number(0))}, needed=tuple(_CALIBRATION_FIELDS)
)
_HORIZON_FIELDS = {
    "forecasters": items(text),
    "errors": mapping(_TABLE, _TARGET),
    "learned_weights": mapping(_SHARES, _TARGET),
    "bound_costs": mapping(number(0)),
}
# Models of before chose no inputs.
_HORIZON = fields({**_HORIZON_FIELDS, "selections": mapping(mapping(anything, _TARGET))}, needed=tuple(_HORIZON_FIELDS))
_MEASURED = fields(
    {
        "container": optional(_name),
        "image": optional(text),
        "replicas": optional(whole(0, int(MOST["replica_count"]))),
        "resources": mapping(optional(whole())),
    }
)
_SETTINGS = fields(
    {
        "weights": _SHARES,
        "horizon_seconds": number(1, _MOST_SECONDS),
        "slo_p95_seconds": number(0),
        "slo_error_ratio": number(0),
    }
)
_STARTUP = fields({"cpu_cores": optional(number(0, MOST_CORES)), "mem_bytes": optional(number(0, MOST_BYTES))})


def _seconds(value: Any, where: str) -> None:
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and 0 < int(value[:12]) <= _MOST_SECONDS):
        raise Misfit(f"{where} is not a number of seconds")


_REPORT: Mapping[str, Check] = {
    "next_steps": mapping(_TABLE, _TARGET),
    "calibrations": mapping(mapping(_CALIBRATION, _TARGET)),
    "reasons": _REASONS,
    "horizons": mapping(_HORIZON, _seconds),
}
_CARD = fields(
    {
        "service": _name,
        "namespace": _name,
        "kind": _kind,
        "driven": flag,
        "experiments": items(text, least=1),
        "scenarios": items(text, least=1),
        "rows": whole(0, _MOST_ROWS),
        "samples_filled": whole(0, _MOST_ROWS),
        "windowed": items(text),
        "last_sample": moment,
        "measured": _MEASURED,
        "runs": mapping(_STARTUP),
        "settings": _SETTINGS,
        "forecasters": items(text),
        "inputs": mapping(items(text)),
        "packages": mapping(text),
        "report": fields(_REPORT, needed=_REPORT.keys() - {"horizons"}),
    },
    needed=(
        *("service", "namespace", "kind", "driven", "experiments", "scenarios", "rows", "samples_filled", "windowed"),
        *("last_sample", "measured", "runs", "settings", "forecasters", "report"),
    ),
)
_CORES, _BYTES = number(0, MOST_CORES), number(0, MOST_BYTES)
_RUN_FIELDS = {
    "experiment_id": text,
    "scenario": text,
    "users": whole(1, int(MOST["load_users"])),
    "replicas": whole(1, int(MOST["replica_count"])),
    "cpu_mean_cores": _CORES,
    "cpu_p95_cores": _CORES,
    "cpu_limit_cores": optional(number(0, MOST["cpu_limit_cores"])),
    "memory_mean_bytes": _BYTES,
    "memory_peak_bytes": _BYTES,
    "memory_limit_bytes": optional(number(0, MOST["mem_limit_bytes"])),
    "oom_kills": whole(0, int(MOST["oom_kills"])),
    "latency_p95_seconds": optional(number(0)),
    "error_ratio": optional(number(0)),
}
# Models of before have neither.
_RUN_LATER_FIELDS = {
    "requests_per_second": optional(number(0)),
    "latency_p95_interval": optional(pair(number(0), number(0))),
}
_RUN = fields({**_RUN_FIELDS, **_RUN_LATER_FIELDS}, needed=tuple(_RUN_FIELDS))
_CURVE = fields(
    {"users_per_pod": items(number(0), least=1), "level": items(number(0), least=1), "slope": number(0)},
)
_RESPONSE = fields({"runs": items(_RUN, least=1), "curves": mapping(mapping(_CURVE))})
_CURVES_NEEDED = ("cpu", "cpu_upper", "memory", "memory_upper")


def check_card(card: Any) -> None:
    """Nothing where a card of the current schema has all that is read of it; else Misfit, with the place."""
    check(card, _CARD)
    for question, targets in card["report"]["calibrations"].items():
        for target, calibration in targets.items():
            where = f"report.calibrations.{question}.{target}"
            if calibration["target"] != target:
                raise Misfit(f"{where}.target is {calibration['target']!r}, not {target!r}")
            if calibration["kept"] > calibration["windows"]:
                raise Misfit(f"{where}.kept is more than its windows")
    questions = {"driven", "undriven"} if card["driven"] else set(card["report"].get("horizons", {}))
    if questions != card["report"]["calibrations"].keys():
        raise Misfit(f"report.calibrations are not those of {', '.join(sorted(questions)) or 'any horizon'}")
    if card["driven"]:
        for question in ("driven", "undriven"):
            for target in Target:
                if target.value not in card["report"]["calibrations"][question]:
                    raise Misfit(f"report.calibrations.{question}.{target.value} is missing")


def check_response(response: Any) -> None:
    """Nothing where a load response can be read and asked; else Misfit, with the place.

    Every scenario has curves and runs, and every curve rises, as a fit leaves it.
    """
    check(response, _RESPONSE)
    driven = {run["scenario"] for run in response["runs"]}
    if driven != response["curves"].keys():
        raise Misfit("curves are not of the scenarios of the runs")
    for scenario, curves in response["curves"].items():
        for name in _CURVES_NEEDED:
            if name not in curves:
                raise Misfit(f"curves.{scenario}.{name} is missing")
        for name, curve in curves.items():
            knots, levels = curve["users_per_pod"], curve["level"]
            if len(knots) != len(levels) or sorted(set(knots)) != knots or sorted(levels) != levels:
                raise Misfit(f"curves.{scenario}.{name} is not a curve that rises")
            bound_from = curve.get("limit_bound_from", curve.get("pinned_from"))
            check(bound_from, optional(number(0)))
