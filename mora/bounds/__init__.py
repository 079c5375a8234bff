"""Upper bounds on the use over the coming horizon, learnt from one series' own past as it goes along.

Plain arrays in, plain arrays out: the rules that `mora backtest` replays and the numbers that a recommendation rests on
come from here alike. Everything advances tick by tick (an hour, or the horizon where that is shorter) and a number for
a decision rests on samples before it, bit for bit: whatever comes later changes nothing (tests/bounds, by truncation).

A history that is read once goes through cpu_bounds_many() and memory_bounds_many(). One that goes on is carried in a
BoundsState (state.py): `take()` new samples, ask for the `bounds()` of the window that begins now. Both are the same
code with the same numbers: each function works on a chunk of ticks and on what is carried from the chunk before
(carry.py). To keep a state, packed() makes a few kB of each series, and unpacked() one state of any series of one
moment (packing.py); renewed() does all of it for a history of which most was taken before (renewal.py).
"""
