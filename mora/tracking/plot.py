"""The errors of a training as a picture: a bar for each forecaster, beside the naive forecast's error."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_ROW, _LABEL, _BAR, _MOST = 18, 260, 320, 2.0


def errors_svg(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """An SVG of the error of the mean over the naive forecast's. tables: what is forecast -> its table of errors.

    A bar ends at twice the naive forecast's error; the figure beside it does not.
    """
    rows: list[str] = []
    y = _ROW
    for what, table in tables.items():
        errors = {name: float(own["mean"]) for name, own in table["errors"].items()}
        naive = errors.get("naive", 0.0)
        for name, error in sorted(errors.items(), key=lambda item: item[1]):
            share = error / naive if naive > 0 else 0.0
            width = _BAR * min(share, _MOST) / _MOST
            fill = "#8a8a8a" if name == "naive" else "#2f6db5"
            rows.append(
                f'<text x="{_LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(f"{what} {name}")}</text>'
                f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="12" fill="{fill}"/>'
                f'<text x="{_LABEL + width + 6:.1f}" y="{y + 12}">{share:.2f}</text>'
            )
            y += _ROW
        y += _ROW // 2
    title = "Error of the mean on validation windows, over the naive forecast's"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _BAR + 60}" height="{y + _ROW}" '
        f'font-family="sans-serif" font-size="11"><title>{title}</title>'
        f'<text x="8" y="12" font-weight="bold">{title}</text>{"".join(rows)}</svg>\n'
    )
