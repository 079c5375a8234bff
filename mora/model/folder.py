"""The model folder: what a trained service is kept as.

card.json       what it is, what it was trained on, validation errors, calibrations, and the checksum of every file
response.json   the load response (driven data only)
NAME.json       a forecaster's document, by its registered name (prophet.json: the curves' numbers)
NAME.npz        a forecaster's arrays, without pickle (lstm.npz; lstm-3600s.npz of one horizon)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mora import sealed
from mora.model.layout import service_of
from mora.model.migration import upgrade
from mora.model.shapes import check_card, check_response
from mora.sealed import CARD, UNREADABLE, Contents, in_words

__all__ = ["CARD", "RESPONSE", "SCHEMA_VERSION", "UNREADABLE", "Contents", "in_words", "read", "seal", "write"]

SCHEMA_VERSION = 2
RESPONSE = "response.json"


def _card(stored: dict[str, Any], version: int) -> dict[str, Any]:
    card = upgrade(stored, version)
    check_card(card)
    return card


def _document(name: str, document: Any) -> None:
    if name == RESPONSE:
        check_response(document)


_KIND = sealed.Kind(
    "model", "--models", lambda folder: f"mora train {service_of(folder)}", SCHEMA_VERSION, _card, _document
)


def seal(
    card: Mapping[str, Any],
    documents: Mapping[str, Any],
    arrays: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
) -> Contents:
    """The contents as they will be read back."""
    return sealed.seal(card, documents, arrays, schema_version=SCHEMA_VERSION)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files in place of whatever model was in the folder; whole, or not at all (mora/sealed.py)."""
    sealed.write(folder, files, _KIND)


def read(folder: Path) -> Contents:
    """Read and verify; BadModel where it is torn, edited, not what a model has, or from a newer MOrA."""
    return sealed.read(folder, _KIND)
