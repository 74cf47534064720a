"""One part of a run, in a process of its own."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from tests.benchmarks.gpu.results import Results
from tests.benchmarks.gpu.settings import Settings

#: Imported when it is their turn: pytest wants to be before cellflow.
MODULES = {
    "tests": "cuda_tests",
    "steps": "image_steps",
    "methods": "image_methods",
    "cells": "cells",
}


def main() -> None:
    """Run the part; exit code 1 unless all its jobs are done."""
    part, text = sys.argv[1:]
    values = json.loads(text)
    for name in ("folder", "images", "inception", "cells"):
        values[name] = values[name] and Path(values[name])
    settings = Settings(**values)
    results = Results(settings.folder / "results.jsonl")
    module = importlib.import_module(f"tests.benchmarks.gpu.{MODULES[part]}")
    sys.exit(not results.run(part, module.jobs(settings, results)))


if __name__ == "__main__":
    main()
