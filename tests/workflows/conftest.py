"""Snakemake in an empty folder."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    """Run Snakemake in an empty folder: exit code and what it says."""
    if importlib.util.find_spec("snakemake") is None:
        pytest.skip("needs snakemake")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        ran = subprocess.run(
            [sys.executable, "-m", "snakemake", *map(str, words)],
            env={
                **os.environ,
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout

    return call
