"""Prometheus as a source: one service over time (observe), whole clusters (fleet), and what both ask through (wire)."""
