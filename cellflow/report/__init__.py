"""Report: an HTML page on data, fit, predictions and their accuracy, and a page to explore."""

from cellflow.report._explore import explore
from cellflow.report._write import write

__all__ = ["explore", "write"]
