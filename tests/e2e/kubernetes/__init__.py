"""On a whole Kubernetes; see docs/kubernetes.md and tests/support/cluster."""
