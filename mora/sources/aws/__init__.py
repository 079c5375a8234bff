"""Amazon CloudWatch as a source: Container Insights of an EKS cluster, and RDS; boto3 is in client.py alone."""
