"""Recommendations as text: every output is a function `render(recommendations, settings) -> str`.

Text for kubectl sets only what was recommended: a field without a recommendation stays as it is on the cluster, and a
comment gives the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mora.changes.rule import RULES, ChangeRule
from mora.savings import Prices

OF_SEVERAL_CLUSTERS = frozenset({"table", "wide", "json", "csv", "explain", "html"})
"""Outputs that say of each row which cluster it is of. What is applied is written for one cluster at a time."""


def is_applied(output: str) -> bool:
    """Whether an output is for a cluster or a repository to take, not for somebody to look at."""
    return output not in OF_SEVERAL_CLUSTERS


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """Options of the outputs; every default works."""

    kustomize_version: str = "5"
    """Version of the kustomize that will build. Before 4 (kubectl 1.20 has 2.0.3) it knows only the older fields."""
    kustomize_base: str = "../base"
    """Where the manifests to patch are, as seen from the kustomization."""
    width: int = 100
    """Columns that the text below the table is wrapped to."""
    columns: int | None = None
    """Columns of the terminal, for the rows of the table; None: as many as the text."""
    sort: str = "need"
    """The order of the table, one of mora.outputs.order.ORDERS."""
    verbose: bool | None = None
    """Below the table. True: all reasons; None: a line a number, if there are few workloads; False: nothing."""
    vpa_cpu: bool = False
    """Whether a VPA object sets CPU, too. By default `-o hpa` takes CPU: an HPA and a VPA on one resource conflict."""
    prices: Prices | None = None
    """What a core and a GiB cost; None: savings are given without money."""
    helm_paths: Mapping[str, str] = field(default_factory=dict)
    """Where a chart has a container's resources: "server", "frontend/server" or "shop/frontend/server" -> path."""
    asked: Sequence[tuple[str, str]] = ()
    """All that was sent to the Prometheus, for `-o explain`: the API's path, and the query or selector."""
    min_change: float = 0.10
    """The body of a pull request skips workloads that change by less."""
    change_rule: ChangeRule = RULES["in-place"]
    """Which new numbers `-o resize` follows: a running pod is resized for what is worth it alone."""


DEFAULTS = OutputSettings()

# Outputs that draw what containers used, so that it has to be kept (mora/fleet/past.py).
DRAWS_HISTORY = frozenset({"html"})
# Outputs that mark when a service was abnormal, so that its whole history has to be examined (mora/fleet/health.py).
MARKS_ABNORMAL = frozenset({"explain", "html"})
