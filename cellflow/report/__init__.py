"""The report: one page that tells what was measured, fitted and predicted, and what to trust."""

from cellflow.report._write import write

__all__ = ["write"]
