"""The picture of a training's errors."""

from __future__ import annotations

import re

from mora.tracking.plot import errors_svg


def test_each_forecaster_has_a_bar_beside_the_naive_one() -> None:
    table = {"errors": {"naive": {"mean": 0.2}, "<lstm>": {"mean": 0.1}, "wild": {"mean": 5.0}}}
    picture = errors_svg({"cpu.3600s": table})
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    assert texts[1:] == ["cpu.3600s &lt;lstm&gt;", "0.50", "cpu.3600s naive", "1.00", "cpu.3600s wild", "25.00"]
    assert [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', picture)] == [80, 160, 320]


def test_a_series_of_zeros_has_a_picture_too() -> None:
    assert "0.00" in errors_svg({"cpu": {"errors": {"naive": {"mean": 0.0}}}})
