"""Data sets that are installed with the package."""

from cellflow.datasets._semrau2017 import semrau2017

__all__ = ["semrau2017"]
