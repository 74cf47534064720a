"""Report: one HTML page on the data, the fit, the predictions and their accuracy."""

from cellflow.report._write import write

__all__ = ["write"]
