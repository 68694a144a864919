"""What a PushCluster comes to: values in, values out. Pure: no clock, environment, network or randomness."""
