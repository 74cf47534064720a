"""Kill a fit at random moments until it ends, and compare it with one that was left alone.

    python tests/benchmarks/kill_fits.py --kills 50

Fits run as forks of a process that has loaded everything, so that kills hit training, checkpoints
and the saving of the flow rather than imports. The output says how many kills there were, at which
shares of a fit, and whether each flow came out with the weights of the undisturbed one; the exit
code is 1 where one did not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import cellflow as cf
from cellflow.cli import main
from cellflow.io import write_h5ad

_KEPT = ["--checkpoint", "kept", "--checkpoint-every", "5", "--resume", "--force"]


def course(n: int = 60) -> AnnData:
    """Cells of three times that move along the first axis."""
    rng = np.random.default_rng(0)
    days = np.repeat([0.0, 1.0, 3.0], n)
    points = rng.normal(size=(3 * n, 3)) * 0.3
    points[:, 0] += days
    names = [f"cell{k}" for k in range(len(days))]
    return AnnData(obs=pd.DataFrame({"day": days}, index=names), obsm={"X_pca": points})


def words(output: str, n_steps: int) -> list[str]:
    """The command of a small fit."""
    fit = ["fit", "course.h5ad", "--use-rep", "X_pca", "--method", "ot-cfm", "--config", "c.yaml"]
    return [*fit, "--n-steps", str(n_steps), "--output", output, "--quiet"]


def started(command: list[str]) -> int:
    """Fork a process that runs a command; its number."""
    child = os.fork()
    if child:
        return child
    try:
        main(command)
    except SystemExit as stop:
        os._exit(int(stop.code or 0))
    os._exit(0)


def ended(child: int) -> int:
    """Exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def bytes_of(flow: str) -> bytes:
    """What the weights are on disk."""
    return (Path(flow) / "tensors.safetensors").read_bytes()


def kill(kills: int, n_steps: int, seed: int) -> tuple[list[float], list[bool], int]:
    """Kill fits in the working folder; shares of a fit at each kill, the flows, and their leavings.

    A flow is True where its weights are those of the fit that nobody disturbed.
    """
    write_h5ad(course(), "course.h5ad")
    Path("c.yaml").write_text("recipe: {batch_size: 16, net: {width: 8, depth: 2}}\n")
    before = time.perf_counter()
    assert ended(started(words("whole", n_steps))) == 0
    whole = time.perf_counter() - before
    wanted, chance = bytes_of("whole"), random.Random(seed)
    shares: list[float] = []
    same: list[bool] = []
    while len(shares) < kills or not same:
        child = started(words("flow", n_steps) + _KEPT)
        wait = chance.random() * whole if len(shares) < kills else 10 * whole
        deadline = time.perf_counter() + wait
        while time.perf_counter() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        try:
            os.kill(child, signal.SIGKILL)
            ended(child)
            shares.append(wait / whole)
        except (ProcessLookupError, ChildProcessError):
            same.append(Path("flow").is_dir() and bytes_of("flow") == wanted)
            Path("kept").unlink(missing_ok=True)
    return shares, same, len(list(Path().glob(".*")))


def arguments() -> argparse.Namespace:
    """Those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--n-steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shares, same, left = kill(given.kills, given.n_steps, given.seed)
        os.chdir("/")
    tenths = np.bincount((10 * np.array(shares)).astype(int), minlength=10).tolist()
    print(f"cellflow {cf.__version__}: {len(shares)} kills, by tenths of a fit {tenths}")
    print(f"{len(same)} flows ended, {sum(same)} of them with the weights of the undisturbed fit")
    print(f"{left} hidden files and folders are left behind")
    sys.exit(not all(same))
