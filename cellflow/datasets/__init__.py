"""Data sets that are installed with the package, or simulated with known answers."""

from cellflow.datasets._semrau2017 import semrau2017
from cellflow.datasets._simulate_course import simulate_course

__all__ = ["semrau2017", "simulate_course"]
