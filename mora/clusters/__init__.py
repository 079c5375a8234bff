"""Where services run and are scaled: Kubernetes, the sandbox. Each is a Cluster (mora.seams).

connection.py makes every request to a Kubernetes API; objects.py reads what comes back.
"""
