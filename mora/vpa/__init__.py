"""An alternative recommender for the Vertical Pod Autoscaler: MOrA's numbers in the status of VPA objects.

The VPA has three programs. One computes what pods should request (the recommender), one evicts pods that differ (the
updater), one sets the requests of new pods (the admission controller). A VPA object may name another recommender
(`spec.recommenders: [{name: mora}]`); then the standard one does not write to it, and the other two apply what its
status contains. This package is that recommender: objects.py reads the objects, status.py turns a Recommendation into
their status, loop.py goes over them again and again, telemetry.py reports its health, service.py runs it as a process.
The VPA's updateMode decides whether anything is applied; nothing here changes a pod.
"""
