"""Upper bounds on the use over the coming horizon, learnt from one series' own past as it goes along.

Plain arrays in, plain arrays out: the rules that `mora backtest` replays and the numbers that a recommendation rests on
come from here alike. Everything advances tick by tick (an hour, or the horizon where that is shorter) and a number for
a decision rests on samples before it, bit for bit: whatever comes later changes nothing (tests/bounds, by truncation).
"""
