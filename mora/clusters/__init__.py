"""Where services run and are scaled: Kubernetes, the sandbox. Each is a Cluster (mora.domain)."""
