"""The command line: one module per command, on `.h5ad` files.

Modules import heavy packages inside their functions, so that help is instant.
"""

from cellflow.cli.app import main

__all__ = ["main"]
