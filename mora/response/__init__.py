"""The load response: what a service uses and how it answers, against users and replicas, per scenario.

It is learnt from driven runs and answers loads that no window of a time series contains. Everything is a monotone curve
over **users per pod** (users / replicas), so a rising load never lowers an answer and a further replica never worsens
one. Use per pod is what a pod's share of the users costs; latency and errors follow the same share because a plan
scales the shop's services together. One axis instead of two lets the few cells of a plan check each other (40 users on
two pods speak for 20 on one), and it is valid for replica counts that were never driven. What one axis gets wrong, the
measured cells put right: a replica count that was measured to miss the SLO is not chosen.
"""

from mora.response.curves import Curve
from mora.response.load_response import LoadResponse, ReplicaChoice, ResponsePoint
from mora.response.runs import Run, run_of

__all__ = ["Curve", "LoadResponse", "ReplicaChoice", "ResponsePoint", "Run", "run_of"]
