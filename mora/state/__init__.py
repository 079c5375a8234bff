"""What a run keeps for the next one (--state DIR): the samples that it read, so that the next reads only what is new.

    blocks       some series over some hours, as bytes and back
    store        the SQLite file in the folder: what was asked for, of which pods, over which time, and the answers
    opening      opens it: version, lock, damage, whose cluster it is of

It holds answers of a metrics source and nothing that is computed from them: a newer rule finds the same samples.
"""
