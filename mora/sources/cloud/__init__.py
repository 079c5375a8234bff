"""What every cloud source shares: series as a client answered them -> the columns and histories of MOrA.

A cloud's own room (mora/sources/gcp, ...) has a Reader: it knows the client, the names of its metrics and what its
errors mean. All else is here: units, gaps, points out of order, the owners of pods, frames, histories, tries.
"""
