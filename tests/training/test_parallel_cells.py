"""`cellflow fit` in two processes gives the flow of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cellflow as cf
from cellflow.cli.fit import fit
from cellflow.objectives import velocity_regression
from cellflow.training import launch
from tests.forks import launch_forks

N_STEPS = 8


def middle(pairs, _generator):
    """Times that do not hang on the process."""
    return (pairs.t0 + pairs.t1) / 2


def fitted(folder: str, name: str, method: str) -> None:
    """Fit by the command, nothing random but the pairs."""
    torch.set_num_threads(1)
    velocity_regression.uniform_times = middle
    words = [f"{folder}/course.h5ad", "--output", f"{folder}/{name}", "--quiet"]
    words += ["--use-rep", "X_pca", "--method", method, "--n-steps", str(N_STEPS)]
    words += ["--sigma", "0", "--device", "cpu"]
    fit.main(words, standalone_mode=False)


@pytest.fixture
def folder(course, tmp_path):
    course.write_h5ad(tmp_path / "course.h5ad")
    return tmp_path


@pytest.mark.parametrize("method", ["default", "ot-cfm"])
def test_weights_of_two_processes_are_those_of_one(folder, method, monkeypatch):
    """So were all gradients, on the same global batches: Adam would part otherwise."""
    monkeypatch.setattr(velocity_regression, "uniform_times", middle)
    fitted(str(folder), "alone", method)
    # Processes join once: the second group of one process may wait for sockets of the first.
    with launch_forks():
        launch(2, fitted, str(folder), "both", method)
    alone, both = (cf.Flow.load(folder / name) for name in ("alone", "both"))
    weights = both.nets.state_dict()
    for name, expected in alone.nets.state_dict().items():
        torch.testing.assert_close(weights[name], expected, atol=1e-5, rtol=1e-4)
    assert both.history["step"] == alone.history["step"]
    assert both.history["loss"] == pytest.approx(alone.history["loss"], rel=1e-4)


@pytest.mark.slow
def test_torchrun_fits_and_the_first_process_speaks_and_writes(folder):
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "cellflow", "fit"]
    words += ["course.h5ad", "--output", "flow", "--use-rep", "X_pca", "--method", "ot-cfm"]
    words += ["--n-steps", "3", "--device", "cpu"]
    path = {"PYTHONPATH": str(Path(cf.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote flow") == 1
    assert done.stdout.count("as it is,") == 1
    assert cf.Flow.load(folder / "flow").history["step"] == [3]
