"""Cards of older schemas as the current one has them, so that their models are still loaded.

Schema 1 (MOrA 0.1.0) called a horizon and a validation window "hold", and named no forecasters. The files beside the
card are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mora.errors import BadModel


def upgrade(card: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A card of schema `version` in the current schema; BadModel where there is no way from one to the other."""
    if version == 2:
        return dict(card)
    if version != 1:
        raise BadModel(f"Models of schema {version} cannot be read.")
    return _from_1(card)


def _from_1(card: Mapping[str, Any]) -> dict[str, Any]:
    report = card["report"]
    files = card["files"]
    horizons = {
        seconds: {
            "forecasters": ["lstm"] if f"lstm-{seconds}s.npz" in files else [],
            "errors": _tables(found["errors"]),
            "learned_weights": found["learnt_weights"],
            "bound_costs": _renamed(found["bound_costs"], {"holds": "windows"}),
        }
        for seconds, found in report.get("holds", {}).items()
    }
    names = {"holds": "windows", "multiplier_holds": "multiplier_windows"}
    calibrations = {
        question: {target: _renamed(calibration, names) for target, calibration in targets.items()}
        for question, targets in report["calibrations"].items()
    }
    upgraded = _renamed(card, {"standing": "measured"})
    upgraded.pop("lstm_columns", None)
    return {
        **upgraded,
        "schema_version": 2,
        "settings": _renamed(card["settings"], {"hold_seconds": "horizon_seconds"}),
        "forecasters": ["prophet", *(["lstm"] if "lstm.npz" in files else [])],
        "inputs": {"lstm": card["lstm_columns"]} if card.get("lstm_columns") else {},
        "report": {
            "next_steps": _tables(report["next_steps"]),
            "calibrations": calibrations,
            "reasons": report["reasons"],
            **({"horizons": horizons} if horizons else {}),
        },
    }


def _tables(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {target: _renamed(table, {"stretches": "windows"}) for target, table in tables.items()}


def _renamed(plain: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in plain.items()}
