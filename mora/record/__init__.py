"""The record of recommendations: what was recommended when, what was applied, and whether it has covered use since.

A SQLite file that `mora serve` writes and `mora digest` reads. Everything that judges is pure (outcomes.py).
"""
