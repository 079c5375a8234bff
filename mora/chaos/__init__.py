"""Faults with ground truth: scenarios that inject faults, and what a detector made of each."""
