"""The command line: one command for each verb, over `.h5ad` files.

Command modules import what is heavy inside their functions, so that help is instant.
"""

from cellflow.cli.app import main

__all__ = ["main"]
