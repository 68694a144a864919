"""The plan as Kubernetes objects: values in, values out. Pure: no clock, environment, network or randomness."""
