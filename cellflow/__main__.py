"""`python -m cellflow` is the command `cellflow`."""

from cellflow.cli import main

if __name__ == "__main__":
    main()
