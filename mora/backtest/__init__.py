"""Replaying the past: which rule would have reserved how much, and how that would have gone.

Two questions, two ways. `replay` asks one policy `history -> Allocation` again and again about one service; a model
judges itself with it. `policy`, `rules`, `scoring` and `run` set rules (`ReplayPolicy`) beside each other on many
series and many holds: `mora backtest`.
"""

from mora.backtest.replay import (
    HoldScore,
    origins,
    replay,
    score_hold,
)

__all__ = [
    "HoldScore",
    "origins",
    "replay",
    "score_hold",
]
