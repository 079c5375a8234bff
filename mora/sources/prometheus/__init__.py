"""Prometheus as a source: one workload over time (observe), whole clusters (fleet); both ask through wire."""
