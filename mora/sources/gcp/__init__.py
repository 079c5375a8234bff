"""Google Cloud Monitoring as a source: containers of GKE, and Cloud SQL. The client is imported in client.py alone."""
