"""What the commands are tried on: the cluster and the history that the VPA recommender's tests use."""

from __future__ import annotations

from tests.vpa.conftest import cluster, fleet

__all__ = ["cluster", "fleet"]
