"""What every service is made of: settings, process life, bus, tokens, HTTP. Knows no service."""
