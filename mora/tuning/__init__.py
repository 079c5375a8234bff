"""The search for a forecaster's settings on the history of one service: `mora train --tune 10m`.

Trials are judged by the contest's harness on folds over time, with a gap of one horizon; the last windows are kept from
the search, and say what its find is worth. What is not clearly better than the default is not taken.
"""
