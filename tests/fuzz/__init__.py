"""Hostile input at the doors of the house: a value or a MoraError comes out, in bounded time and space.

In an ordinary test run each draws a few seeded examples; `make fuzz` draws many, other ones each time.
"""
