"""Send signals to every verb that computes, at random moments, and see that each is heard.

    python tests/benchmarks/signal_verbs.py --signals 200

Commands run as forks of a process that has loaded everything, each in an empty folder, and get
SIGINT, SIGTERM or SIGHUP at a random moment of their duration. The output says how many were heard
(the process ended on the signal), after what time, and what was left behind; the exit code is 1 if
a signal was lost or anything was left. Then the launcher of a fit in two processes is killed, and
the time until its orphans have ended is reported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import random
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData, concat

import cellflow as cf
import cellflow.cli
import cellflow.cli.image
from cellflow.cli import main
from cellflow.io import write_h5ad

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Commands that make what the others read.
INPUTS = {
    "cells.h5ad": "embed raw.h5ad --output cells.h5ad --n-dims 5",
    "flow": "fit cells.h5ad --output flow --method ot-cfm --n-steps 100",
    "noisy": "fit cells.h5ad --output noisy --method sf2m --n-steps 100",
    "paths.h5ad": "trajectories cells.h5ad --flow flow --output paths.h5ad --n-times 8 --no-genes",
    "images": "image train --data digits --output images --n-steps 10",
    "low": "image train --data digits --output low --n-steps 5 --low-res 2",
    "change": "image train --data digits --source digits --output change --n-steps 5",
}

_FLOW = "../cells.h5ad --flow ../flow"
_BENCHMARK = "benchmark ../cells.h5ad --n-steps 20 --max-cells 300 --time 24 --output o"
_IMAGES = "--data digits --flow ../images"

#: Commands that take long, run in a folder inside that of the inputs.
VERBS = {
    "embed": "embed ../raw.h5ad --output o.h5ad",
    "growth": "growth ../raw.h5ad --per hour --output o.h5ad",
    "fit": "fit ../cells.h5ad --output o --n-steps 100",
    "fit, kept": "fit ../cells.h5ad --output o --n-steps 100 --checkpoint kept",
    "fit, plan": "fit ../cells.h5ad --output o --n-steps 50 --method ot-cfm --coupling exact-full",
    "finetune": f"finetune {_FLOW} --output o --n-steps 60",
    "interpolate": f"interpolate {_FLOW} --time 30 --output o.zarr",
    "push": "push ../cells.h5ad --flow ../noisy --cells time=0 --time 90 --n-samples 20 "
    "--output o.h5ad",
    "pull": f"pull {_FLOW} --cells time=96 --time 0 --output o.h5ad",
    "trajectories": f"trajectories {_FLOW} --n-cells 500 --n-times 10 --output o.zarr.zip",
    "ancestors": f"ancestors {_FLOW} --cells time=96 --time 0 --output o.h5ad",
    "descendants": f"descendants {_FLOW} --cells time=0 --time 96 --by flow --output o.h5ad",
    "fates": f"fates {_FLOW} --groups kind --by flow --output o.h5ad",
    "transitions": f"transitions {_FLOW} --groups kind --output o.csv",
    "velocity": f"velocity {_FLOW} --genes --n-smooth 5 --output o.h5ad",
    "landscape": f"landscape {_FLOW} --output o.h5ad",
    "pseudotime": f"pseudotime {_FLOW} --output o.h5ad",
    "uncertainty": f"uncertainty {_FLOW} --flow ../flow --output o.h5ad",
    "drivers": f"drivers {_FLOW} --by kind --method jacobian --output o.csv",
    "gene-trends": f"gene-trends {_FLOW} --n-times 20 --output o.csv",
    "holdout": "holdout ../cells.h5ad --n-steps 20 --time 24 --output o.json",
    "benchmark": f"{_BENCHMARK} --jobs 1",
    "benchmark, jobs": f"{_BENCHMARK} --jobs 2",
    "report": f"report {_FLOW} --output o.html",
    "plot": "plot trajectories ../cells.h5ad --paths ../paths.h5ad --output o.png",
    "gif": "plot animation ../cells.h5ad --paths ../paths.h5ad --output o.gif",
    "html": "plot animation ../cells.h5ad --paths ../paths.h5ad --output o.html",
    "demo": "demo",
    "image train": "image train --data digits --output o --n-steps 20",
    "image couple": "image couple --data digits --output o --semidiscrete-steps 500",
    "image finetune": f"image finetune {_IMAGES} --output o --n-steps 10",
    "image sample": "image sample --flow ../images --n 50 --output o.npz",
    "image gif": "image sample --flow ../images --show paths --output o.gif",
    "image translate": "image translate --data digits --flow ../change --n 30 --output o.npz",
    "image upscale": "image upscale --data digits --flow ../low --n 30 --output o.npz",
    "image score": f"image score {_IMAGES} --n 50 --solver euler:4 --output o.json",
    "image discriminator": f"image train-discriminator {_IMAGES} --n-generated 50 --n-steps 10 "
    "--classifier-steps 10 --output o",
}


@dataclass(frozen=True)
class Outcome:
    """A signal that was sent to a command: whether and when it was heard, and what was left."""

    verb: str
    number: int
    share: float
    code: int
    seconds: float
    left: list[str]
    message: str

    @property
    def is_heard(self) -> bool:
        # Before and after the command, Python itself ends by the signal.
        return self.code in (128 + self.number, -self.number)

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return (
            f"{self.verb}, {name} after {self.share:.0%}: code {self.code}, {self.seconds:.2f} s, "
            f"left {self.left}, {self.message!r}"
        )


def load() -> None:
    """Import what commands import on their way."""
    for package in (cellflow.cli, cellflow.cli.image):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    for name in ("evaluation.benchmark", "images", "report", "pl._animate"):
        importlib.import_module(f"cellflow.{name}")


def start(command: str, folder: Path) -> int:
    """Fork a process that runs a command in a folder; its number."""
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        os.chdir(folder)
        (folder / "tmp").mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        output = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        main(shlex.split(command))
    except SystemExit as stop:
        code = int(stop.code or 0)
        (folder / "ended").write_text(str(time.monotonic()))
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def end(child: int) -> int:
    """Exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leavings(folder: Path) -> list[str]:
    """Hidden files, which outputs are while they are written, and temporary ones."""
    left = [*folder.glob(".*"), *folder.glob("o/**/.cellflow-*"), *(folder / "tmp").glob("*")]
    # A cache of torch, one for each user.
    return [each.name for each in left if not each.name.startswith("torchinductor_")]


def _noise(obs: pd.DataFrame, genes: pd.Series, rng: np.random.Generator) -> AnnData:
    """Counts of genes that growth rates need."""
    counts = rng.poisson(1.0, (len(obs), len(genes))).astype(np.float32)
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=list(genes)))


def make_inputs(folder: Path) -> None:
    """Write the files and flows that the commands read."""
    course = cf.datasets.semrau2017()
    course = course[course.X.getnnz(axis=1) > 0].copy()
    rng = np.random.default_rng(0)
    genes = pd.read_csv(files("cellflow.pp") / "data/growth_genes.tsv", sep="\t", comment="#")
    course = concat(
        [course, _noise(course.obs, genes["mouse"].dropna(), rng)], axis=1, merge="same"
    )
    course.obs["kind"] = rng.choice(["a", "b"], course.n_obs)
    write_h5ad(course, folder / "raw.h5ad")
    for name, command in INPUTS.items():
        place = folder / f"make-{name}"
        place.mkdir()
        words = " ".join(
            str(folder / word) if (folder / word).exists() or word == name else word
            for word in command.split()
        )
        if code := end(start(words, place)):
            sys.exit(f"{command}: exit code {code}\n{(place / 'log').read_text()}")


def measure(verbs: dict[str, str], folder: Path) -> dict[str, float]:
    """Seconds of each command that nobody disturbs; those that fail are printed."""
    seconds = {}
    for verb, command in verbs.items():
        place = Path(tempfile.mkdtemp(dir=folder))
        before = time.perf_counter()
        code = end(start(command, place))
        seconds[verb] = time.perf_counter() - before
        log = (place / "log").read_text()
        if code or leavings(place):
            print(f"{command}: exit code {code}, left {leavings(place)}\n{log}", flush=True)
            del seconds[verb]
    return seconds


def send(verb: str, command: str, whole: float, chance: random.Random, folder: Path) -> Outcome:
    """Send a signal to a command at a random moment; again if it had ended by then."""
    while True:
        place = Path(tempfile.mkdtemp(dir=folder))
        child, share, number = start(command, place), chance.random(), chance.choice(SIGNALS)
        time.sleep(share * whole)
        before = time.monotonic()
        os.kill(child, number)
        code = end(child)
        seconds = time.monotonic() - before
        lines = (place / "log").read_text().splitlines() if (place / "log").exists() else []
        ended = place / "ended"
        if code == 0 and ended.exists() and float(ended.read_text()) < before:
            continue
        odd = [line for line in lines if "Traceback" in line or "ignored in" in line]
        message = odd[0] if odd else next(reversed([each for each in lines if each.strip()]), "")
        return Outcome(verb, number, share, code, seconds, leavings(place), message)


def orphan(folder: Path) -> float:
    """Kill the launcher of a fit in two processes; seconds until those have ended."""
    words = (
        "fit cells.h5ad --output orphan --n-steps 1000000 --checkpoint kept --checkpoint-every 5"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "cellflow", *words.split()],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (folder / "kept").exists():
        if launcher.poll() is not None:
            sys.exit(f"torchrun ended with {launcher.returncode}")
        time.sleep(0.1)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    workers = [Path(f"/proc/{number}") for number in children]
    before = time.perf_counter()
    launcher.kill()
    launcher.wait()
    while any(each.exists() for each in workers) and time.perf_counter() - before < 60:
        time.sleep(0.01)
    return time.perf_counter() - before


def arguments() -> argparse.Namespace:
    """Those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=200)
    parser.add_argument("--verbs", nargs="+", choices=list(VERBS), default=list(VERBS))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def run(folder: Path, signals: int, verbs: dict[str, str], seed: int) -> bool:
    """Send the signals and print what came of them; whether all was well."""
    load()
    make_inputs(folder)
    seconds = measure(verbs, folder)
    print(f"{len(seconds)} commands, {sum(seconds.values()):.0f} s together", flush=True)
    chance = random.Random(seed)
    names = [list(seconds)[k % len(seconds)] for k in range(signals)]
    outcomes: list[Outcome] = []
    # Ctrl-C ends the run with what there is.
    with suppress(KeyboardInterrupt):
        for name in names:
            outcomes.append(send(name, verbs[name], seconds[name], chance, folder))
            if not outcomes[-1].is_heard or outcomes[-1].left:
                print(f"  {outcomes[-1]}", flush=True)
    wrong = [each for each in outcomes if not each.is_heard or each.left]
    odd = [each for each in outcomes if each.code > 0 and each.message != "cellflow: stopped"]
    waits = sorted(outcome.seconds for outcome in outcomes)
    heard = sum(each.is_heard for each in outcomes)
    print(f"cellflow {cf.__version__}: {heard} of {len(outcomes)} signals heard")
    print(f"seconds to the end: median {statistics.median(waits):.3f}, longest {waits[-1]:.2f}")
    print(f"{sum(bool(each.left) for each in outcomes)} left files behind")
    for each in [*wrong, *odd, *sorted(outcomes, key=lambda each: each.seconds)[-5:]]:
        print(f"  {each}")
    return not wrong and len(seconds) == len(verbs)


if __name__ == "__main__":
    given = arguments()
    # Processes in the background of a shell are started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch).resolve()
        well = run(whole, given.signals, {each: VERBS[each] for each in given.verbs}, given.seed)
        waited = orphan(whole)
    print(f"two orphans of torchrun ended after {waited:.1f} s")
    sys.exit(not (well and waited < 60))
