"""Where metrics come from: a Prometheus (prometheus/) or the files that MOrA wrote (csvfile.py).

Each is a MetricSource of mora.seams and returns plain frames with the columns of mora.metrics. Many workloads at once
come from prometheus/fleet.py, a FleetSource.
"""
