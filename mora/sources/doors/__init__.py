"""The doors of managed Prometheus servers: what gives each request its credentials. One cloud, one file."""
