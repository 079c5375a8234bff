"""Golden files: what the outputs print, kept to be read. Written anew by `MORA_WRITE_GOLDEN=1 pytest tests/outputs`."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str, text: str) -> str:
    """The kept text of `name`, which `text` has to equal."""
    path = FOLDER / name
    if os.environ.get("MORA_WRITE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    assert text == kept, f"{path} differs; if that is meant: MORA_WRITE_GOLDEN=1 pytest tests/outputs"
    return kept
