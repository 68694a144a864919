"""The Cluster port on Kubernetes."""
