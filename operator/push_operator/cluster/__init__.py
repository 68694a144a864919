"""The cluster is a port: Kubernetes, or one machine, or a dictionary in a test."""
