"""Tests of the suite that need a GPU or take one: a row for each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.gpu.results import Results, Row
from tests.benchmarks.gpu.settings import Settings

TESTS = Path(__file__).parents[2]

#: What the files of such tests contain; those of the first have tests that need a GPU.
_SIGNS = ("cuda.is_available", "import DEVICE")

#: Processes: the tests are small, so most of their time is that of the CPU.
_PROCESSES = 8


def jobs(settings: Settings, results: Results) -> dict[str, Callable[[], Row]]:
    """Return the only job: a failed test fails it."""
    return {"suite": lambda: _run(settings, results)}


def find_files() -> list[Path]:
    """Return the test files that have a use for a GPU, those that need it first."""
    texts = {path: path.read_text() for path in sorted(TESTS.rglob("test_*.py"))}
    return list(dict.fromkeys(path for sign in _SIGNS for path in texts if sign in texts[path]))


def _run(settings: Settings, results: Results) -> Row:
    files = find_files()
    if settings.rehearse:
        # Those are run by the suite itself; here it is enough that rows are written.
        files = [path for path in files if path.name == "test_pixels.py"]
    os.environ["CELLFLOW_TEST_DEVICE"] = settings.device
    rows = _Rows(results)
    n = 0 if settings.rehearse else min(_PROCESSES, os.cpu_count() or 1)
    options = ["-n", str(n), "-p", "no:randomly", "-p", "no:cacheprovider"]
    code = pytest.main([*options, *map(str, files)], plugins=[rows])
    if code:
        raise RuntimeError(f"pytest ended with code {int(code)}; {rows.counts}")
    return rows.counts


class _Rows:
    """A plugin of pytest that writes a row when a test is over."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # The set-up and the end of a test have reports of their own, of which those that passed
        # say nothing.
        if report.when == "call" or not report.passed:
            self.counts[report.outcome] += 1
            seconds = round(report.duration, 2)
            self.results.append("tests", report.nodeid, report.outcome, seconds=seconds)
