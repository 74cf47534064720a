"""Benchmarks are run by hand (`make performance`); pytest leaves them alone."""

collect_ignore_glob = ["*.py"]
