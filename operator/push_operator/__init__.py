"""The operator of PushCluster: turns one PushCluster resource into running workloads, wherever they run."""

__version__ = "0.1.0"
