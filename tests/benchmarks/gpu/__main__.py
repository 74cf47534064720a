"""Measure what wants a GPU, part by part, within a limit of time.

    python -m tests.benchmarks.gpu FOLDER --images CIFAR --inception FILE.pth --cells FOLDER
    python -m tests.benchmarks.gpu FOLDER --rehearse

Each part has a process and a share of the seconds; what earlier parts leave goes to later ones.
Rows are written to FOLDER/results.jsonl as they come. The same command goes on with what is not
done: jobs that failed, and parts that ran out of time. Nothing is fetched from a network. The exit
code is 1 if anything failed or was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from tests.benchmarks.gpu.carried import check
from tests.benchmarks.gpu.results import WHOLE, Results
from tests.benchmarks.gpu.settings import LIMITS, N_STEPS, Settings, add_inputs
from tests.benchmarks.gpu.summary import state, summarise

ROOT = Path(__file__).parents[3]


def main() -> None:
    """Run the parts that are not done."""
    start = perf_counter()
    # So that the part that runs is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = _parser()
    given = parser.parse_args()
    settings = Settings(
        given.folder.resolve(), given.rehearse, 2 if given.rehearse else given.n_steps,
        given.images, given.inception, given.cells,
    )  # fmt: skip
    for name in ("images", "inception", "cells"):
        path = getattr(settings, name)
        if path is not None and not path.exists():
            parser.error(f"--{name} {path} does not exist")
    settings.work.mkdir(parents=True, exist_ok=True)
    results = Results(settings.folder / "results.jsonl")
    if problem := _remember(settings, results):
        parser.error(problem)
    left_out = check(settings)
    for part, why in left_out.items():
        print(f"{part}: left out, {why}")
    print(f"at most {given.seconds:.0f} s in all", flush=True)
    todo = [part for part in given.parts if part not in left_out and not results.is_done(part)]
    while todo:
        left = given.seconds - (perf_counter() - start)
        part, limit = todo[0], left * LIMITS[todo[0]] / sum(LIMITS[each] for each in todo)
        _run(part, settings, results, max(limit, 0.1))
        todo = todo[1:]
    text = summarise(results, left_out)
    (settings.folder / "summary.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{perf_counter() - start:.0f} s, results in {settings.folder}", flush=True)
    sys.exit(any(not results.is_done(part) for part in given.parts if part not in left_out))


def _run(part: str, settings: Settings, results: Results, limit: float) -> None:
    """Run a part in a process, and end it at its limit."""
    print(f"{part}: at most {limit:.0f} s", flush=True)
    values = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(settings).items()
    }
    command = [sys.executable, "-m", "tests.benchmarks.gpu.run_part", part, json.dumps(values)]
    before = len(results.rows(part))
    with (settings.folder / "log.txt").open("a") as log:
        # A group of its own, so that its processes end with it.
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, process_group=0
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            _kill(process)
            results.append(part, WHOLE, "stopped", seconds=round(limit, 1))
        finally:
            _kill(process)
    ended = any(row["job"] == WHOLE for row in results.rows(part)[before:])
    if not ended:
        results.append(part, WHOLE, "failed", error=f"exit code {process.returncode}, see log.txt")
    print(f"{part}: {state(results, part, {})}", flush=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _remember(settings: Settings, results: Results) -> str | None:
    """Store what results depend on; return a problem if the folder has those of other settings."""
    import torch

    if not settings.rehearse and not torch.cuda.is_available():
        return "there is no CUDA device; --rehearse runs everything at tiny size on the CPU"
    known = {
        "device": "cpu" if settings.rehearse else torch.cuda.get_device_name(),
        "n_steps": settings.n_steps,
        "cellflow": version("cellflow-snapshots"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    for row in results.rows("run"):
        other = {key: row.get(key) for key in known}
        if other != known:
            return f"{settings.folder} has results of {other}, this is {known}: name another folder"
    if not results.rows("run"):
        results.append("run", "settings", "done", **known)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu")
    parser.add_argument("folder", type=Path, help="folder of the results")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU, without data")
    parser.add_argument("--seconds", type=float, default=float(sum(LIMITS.values())))
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS))
    parser.add_argument("--n-steps", type=int, default=N_STEPS, help="of each method on images")
    add_inputs(parser)
    return parser


if __name__ == "__main__":
    main()
