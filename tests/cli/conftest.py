"""Calls of the command line inside the process of the tests."""

import logging
import warnings

import pytest

from cellflow import _log
from cellflow.cli import main


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    yield call
    _log.show(logging.INFO, "stderr")
