"""An alternative recommender for the Vertical Pod Autoscaler: MOrA's numbers in the status of VPA objects.

The VPA has three programs. One computes what pods should request (the recommender), one evicts pods that differ (the
updater), one sets the requests of new pods (the admission controller). A VPA object may name another recommender
(`spec.recommenders: [{name: mora}]`); then the standard one leaves it alone, and what stands in its status is what the
other two apply. This room is that other one: vpa.py reads the objects, status.py turns a Recommendation into their
status, loop.py goes over them again and again, lease.py sees to it that one instance writes, endpoints.py tells how it
is. Whether anything is applied is for the VPA's updateMode; nothing here touches a pod.
"""
