"""The gateways as a fleet: what is known of them, how many there should be, and the next steps towards that. Pure: no
clock, environment, network or randomness; each decision is a value with its reason."""
