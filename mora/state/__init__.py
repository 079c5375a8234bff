"""What a run keeps for the next one (--state DIR): the samples that it read, so that the next reads only what is new,
and what bounds go on from, so that nothing is learnt twice.

    blocks       some series over some hours, as bytes and back
    store        the SQLite file in the folder: what was asked for, of which pods, over which time, and the answers
    opening      opens it: version, lock, damage, whose cluster it is of

Answers of a metrics source are kept as they came: a newer rule finds the same samples. What bounds go on from is of one
rule only, and learnt anew from the samples where it cannot be used.
"""
