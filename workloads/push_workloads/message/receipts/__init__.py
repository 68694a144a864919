"""Receipts: how far users have come, reported by gateways or over HTTP, stored as marks, and told."""
