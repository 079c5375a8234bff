"""Replaying the past: what rules would have reserved, and how that would have fared.

`mora backtest` compares rules on recorded series. `policy` says what a rule is, `rules` and `mora_policy` are the
rules, `run` asks them, `scoring` scores the answers window by window, `render` and `report` print the scores.
"""
