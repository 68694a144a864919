"""A Docker Swarm stack as a PushCluster, with a report of what was taken over, what was not, and what is left to do."""
