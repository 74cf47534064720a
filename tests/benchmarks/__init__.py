"""Measurements of docs/benchmarks/performance.md; no tests, and nothing that the suite runs."""
