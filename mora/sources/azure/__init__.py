"""Azure Monitor as a source: containers of AKS from its logs, nodes and databases from its metrics."""
