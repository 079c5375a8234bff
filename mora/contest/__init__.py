"""A fair contest of forecasters: the same rolling origins, the same horizons, the same measures for all.

evaluate() is the harness; what comes of it is scored in scores.py and ranked over series in ranking.py. The command is
`mora compare`.
"""

from __future__ import annotations

from mora.contest.entrants import Entrant, entrant, entrants
from mora.contest.run import evaluate
from mora.contest.windows import Answers, Contest, Windows

__all__ = ["Answers", "Contest", "Entrant", "Windows", "entrant", "entrants", "evaluate"]
