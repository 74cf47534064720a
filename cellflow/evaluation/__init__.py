"""Held-out evaluation: folds, predictions, baselines, and methods compared in a benchmark.

Importing the package loads nothing: `protocols` is light enough for the help of the command line.
"""
