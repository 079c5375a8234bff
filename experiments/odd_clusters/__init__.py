"""Inputs of odd clusters, with the answer that is right: what MOrA must not get wrong again.

Each case builds the series of one namespace as kube-state-metrics and cAdvisor would expose them (`series.py`), and
says what the answer must hold (`answer.py`). The cases are grouped by kind of fault, one module a kind, and each names
the public report that it was made after, or says that it is our own. `python -m experiments.benchmarks.cases` runs them
against a real Prometheus and prints the verdicts; the tests run them too (`running.py`).
"""
