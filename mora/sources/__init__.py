"""Where metrics come from: a Prometheus (prometheus.py) or the files that MOrA wrote (csvfile.py).

Each implements domain.MetricSource and hands over plain frames with the columns of mora.metrics. A whole fleet at once
comes from fleet.py, a domain.FleetSource.
"""
