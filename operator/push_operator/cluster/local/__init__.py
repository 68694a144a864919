"""One machine as a cluster: the plan runs as processes, with the operator's own control loop over them."""
