"""Measurements of docs/performance.md; no tests, and nothing that the suite runs."""
