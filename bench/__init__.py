"""Benchmarks: ratios against a named alternative, measured in the same run. `make bench` runs them all."""
