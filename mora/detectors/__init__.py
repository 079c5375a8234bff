"""Detectors: one module each, and the thresholds that decide which of their scores is too high."""
