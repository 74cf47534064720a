"""Snakemake in an empty folder."""

import importlib.util
import os
import sys
import traceback
import warnings
from pathlib import Path

import pytest


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    """Run Snakemake in an empty folder: exit code and what it says."""
    if importlib.util.find_spec("snakemake") is None:
        pytest.skip("needs snakemake")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([home, os.environ["PATH"]]))

    def call(*words):
        # A fork has what Snakemake imports, which takes longer than most of what is asked of it.
        from snakemake import cli

        # Taken when it was imported, where pytest may have captured the output.
        monkeypatch.setattr(sys.modules["snakemake.shell"], "STDOUT", None)
        words = [str(word) for word in words]
        with (tmp_path / "said").open("w+b") as said:
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                run_as_script(lambda: cli.main(words), ["snakemake", *words], said.fileno())
            _, status = os.waitpid(child, 0)
            said.seek(0)
            return os.waitstatus_to_exitcode(status), said.read().decode()

    return call


def run_as_script(main, words, output):
    """Run `main` in this process, which ends with it, as a script whose output goes to a file."""
    code = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        sys.argv = words
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
