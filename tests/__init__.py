"""unit: no process, no clock. contract: two sides agree. integration: real NATS and Valkey. e2e: the whole platform."""
