"""The Prometheus with a fleet's history that the VPA recommender is tested with."""

from __future__ import annotations

from tests.vpa.conftest import fleet

__all__ = ["fleet"]
