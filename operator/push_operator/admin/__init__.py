"""How the operator talks to what runs: the gateways' admin ports, and the broker's monitoring."""
