"""Every verb by cells: seconds, peak memory and exponents at 1e4, 1e5 and 1e6 cells from a file.

    python -m tests.benchmarks.verbs FOLDER --cells 10000 100000 1000000 --threads 2

Cells are simulated from a seed: ten times, counts of 250 genes that are embedded in 50 dimensions.
Each verb and size runs as a command of its own process, after the same command on 1,000 cells,
which imports and compiles what it needs. A finished one leaves a line of JSON in FOLDER and is not
run again; `--again VERB` runs it again, `--table` only prints. Memory is the peak above what the
process held before, over the data: 50 float32 a cell, and its counts where the verb reads them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.memory import Peak

TIMES, DIMS, GENES, LATENTS, SEED = 10, 50, 250, 12, 0

#: Cells of the command that runs first in each process, and rows that are simulated at a time.
WARM, ROWS = 1_000, 50_000

#: What marks the begin and the end of the measured command among the messages of a process.
MARK = b"\0"


@dataclass(frozen=True)
class Verb:
    """A command, in words with {places}; `files` it needs, whether it reads `counts`, its output.

    `call` is Python code's own, where there is no command; `keep` leaves the output to others.
    """

    words: str
    output: str = "out.h5ad"
    needs: tuple[str, ...] = ()
    counts: bool = False
    keep: bool = False
    call: Callable[[Path], object] | None = None


def command(words: str, output: str = "out.h5ad", **more: Any) -> Verb:
    """Return a verb that writes to `output`."""
    return Verb(f"{words} --output {{folder}}/{output} --force --device cpu", output, **more)


def annotate(words: str, needs: str = "fit", **more: Any) -> Verb:
    """Return a verb on the cells and their flow."""
    verb, *rest = words.split(" ", 1)
    flow = f"{verb} {{folder}}/embedded.h5ad --flow {{folder}}/flow {' '.join(rest)}"
    return command(flow, needs=(needs,), **more)


def draw(words: str, needs: str, output: str = "out.png") -> Verb:
    """Return a figure."""
    return Verb(f"plot {words} --output {{folder}}/{output} --force", output, needs=(needs,))


def perturb(folder: Path) -> None:
    """Write a second flow, of weights that differ by 1 %, as another seed would be."""
    import torch

    import cellflow as cf

    flow = cf.Flow.load(folder / "flow")
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weight in flow.nets.parameters():
            weight.mul_(1 + 0.01 * torch.randn(weight.shape, generator=generator))
    flow.save(folder / "flow2", overwrite=True)


def regions(folder: Path) -> None:
    """Compare predicted cells with real ones, group by group."""
    import cellflow as cf
    from cellflow.io import open_cells

    adata = open_cells(folder / "embedded.h5ad")
    predicted = open_cells(folder / "interpolated.h5ad")
    predicted.uns["cellflow"]["interpolate"]["time"] = 5.0
    cf.tl.regions(adata, predicted, "group", time_key="day")


def to_cellrank(folder: Path) -> None:
    """Couple the cells of consecutive times."""
    import cellflow as cf
    from cellflow.io import open_cells

    cf.tl.to_cellrank(open_cells(folder / "embedded.h5ad"), cf.Flow.load(folder / "flow"))


CELLS, POINTS = "{folder}/cells.h5ad", "{folder}/embedded.h5ad"

VERBS = {
    "info": Verb(f"info {CELLS}"),
    "embed": Verb(
        f"embed {CELLS} --n-dims {DIMS} --output {{folder}}/embedded.h5ad --force",
        "embedded.h5ad",
        counts=True,
        keep=True,
    ),
    "growth genes": Verb(
        f"growth {CELLS} --per day --species human --output {{folder}}/out.h5ad --force",
        counts=True,
    ),
    "fit": command(f"fit {POINTS} --n-steps 200", "flow", needs=("embed",), keep=True),
    "second flow": Verb("", "flow2", needs=("fit",), keep=True, call=perturb),
    "fit ot-cfm": command(
        f"fit {POINTS} --method ot-cfm --n-steps 200", "plain", needs=("embed",), keep=True
    ),
    "finetune": command(
        f"finetune {POINTS} --flow {{folder}}/plain --n-steps 100", "tuned", needs=("fit ot-cfm",)
    ),
    "interpolate": annotate("interpolate --time 4.5", output="interpolated.h5ad", keep=True),
    "push": annotate("push --cells day=3 --time 4"),
    "pull": annotate("pull --cells day=4 --time 3"),
    "trajectories": annotate("trajectories", output="paths.h5ad", keep=True),
    "fates": annotate("fates --groups group", output="fates.h5ad", keep=True),
    "fates flow": annotate("fates --groups group --by flow"),
    "transitions": annotate("transitions --groups group", output="transitions.csv", keep=True),
    "ancestors": annotate("ancestors --cells day=9&group=A --time 0"),
    "descendants": annotate("descendants --cells day=0&group=A --time 9"),
    "to_cellrank": Verb("", "", needs=("fit",), call=to_cellrank),
    "velocity": annotate("velocity"),
    "velocity umap": annotate("velocity --basis umap", output="velocity.h5ad", keep=True),
    "velocity genes": annotate("velocity --genes", counts=True),
    "growth learned": Verb(
        f"growth {POINTS} --learned {{folder}}/flow --output {{folder}}/growth.h5ad --force",
        "growth.h5ad",
        needs=("fit",),
        keep=True,
    ),
    "pseudotime": annotate("pseudotime"),
    "landscape": annotate("landscape", output="landscape.h5ad", keep=True),
    "uncertainty": annotate("uncertainty --flow {folder}/flow2", needs="second flow"),
    "gene-trends": annotate("gene-trends", output="trends.csv", keep=True),
    "gene-trends fates": command(
        "gene-trends {folder}/fates.h5ad --flow {folder}/flow --by fate_probabilities "
        "--gene gene_200 --gene gene_201",
        "out.csv",
        needs=("fates",),
    ),
    "drivers": Verb(
        "drivers {folder}/fates.h5ad --output {folder}/out.csv --force",
        "out.csv",
        needs=("fates",),
        counts=True,
    ),
    "drivers velocity": annotate("drivers --method velocity --by group", output="out.csv"),
    "drivers jacobian": annotate("drivers --method jacobian --by group", output="out.csv"),
    "holdout": command(
        f"holdout {POINTS} --time 5 --n-steps 100 --max-cells 2000", "scores.json", needs=("embed",)
    ),
    "benchmark": command(
        f"benchmark {POINTS} --time 5 --method ot-cfm --n-steps 100 --max-cells 2000 --jobs 1",
        "benchmark",
        needs=("embed",),
    ),
    "compare": Verb(
        f"compare {POINTS} --condition-key group --output {{folder}}/out.csv --force",
        "out.csv",
        needs=("embed",),
    ),
    "regions": Verb("", "", needs=("interpolate",), call=regions),
    "report": Verb(
        f"report {POINTS} --flow {{folder}}/flow --output {{folder}}/out.html --force",
        "out.html",
        needs=("fit",),
    ),
    "plot interpolation": draw(
        f"interpolation {POINTS} --predicted {{folder}}/interpolated.h5ad", "interpolate"
    ),
    "plot trajectories": draw(f"trajectories {POINTS} --flow {{folder}}/flow", "fit"),
    "plot animation": draw(
        f"animation {POINTS} --paths {{folder}}/paths.h5ad", "trajectories", "out.gif"
    ),
    "plot fates": draw("fates {folder}/fates.h5ad", "fates"),
    "plot sankey": draw(f"sankey {POINTS} --transitions {{folder}}/transitions.csv", "transitions"),
    "plot velocity": draw("velocity {folder}/velocity.h5ad", "velocity umap"),
    "plot gene-trends": draw("gene-trends {folder}/trends.csv", "gene-trends"),
    "plot growth": draw("growth {folder}/growth.h5ad", "growth learned"),
    "plot landscape": draw("landscape {folder}/landscape.h5ad", "landscape"),
}


def simulate(path: Path, n: int) -> None:
    """Write a course of counts, in random order of time, with groups and a plane that bends."""
    import h5py
    import pandas as pd
    from anndata.io import sparse_dataset, write_elem
    from scipy import sparse

    from cellflow.pp._growth import gene_names

    rng = np.random.default_rng(SEED)
    loadings = rng.normal(size=(LATENTS, GENES)) * np.exp(-np.arange(LATENTS) / 8)[:, None]
    base = rng.normal(size=GENES) - 1.5
    turn = rng.normal(size=(TIMES, LATENTS)).cumsum(axis=0) * 0.4
    day = rng.permutation(np.arange(n) % TIMES)
    side = rng.choice([-1.0, 1.0], size=(n, 2))
    cycle = [names[0] for names in gene_names("human", "S", "G2M")]
    genes = [*cycle, *(f"gene_{k}" for k in range(len(cycle), GENES))]
    plane = np.empty((n, 2), dtype=np.float32)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for start in range(0, n, ROWS):
            part = slice(start, start + ROWS)
            latent = rng.normal(size=(len(day[part]), LATENTS)) * 0.7 + turn[day[part]]
            latent[:, :2] += side[part] * (0.2 * day[part, None])
            plane[part] = np.tanh(latent[:, :2] / 2) * 10 + latent[:, 2:4] ** 2
            counts = sparse.csr_matrix(
                rng.poisson(np.exp(np.clip(base + 0.5 * latent @ loadings, None, 3))),
                dtype=np.float32,
            )
            if start == 0:
                write_elem(file, "X", counts, dataset_kwargs={"chunks": (65_536,)})
            else:
                sparse_dataset(file["X"]).append(counts)
        names = np.char.add("cell", np.arange(n).astype(str)).astype(object)
        group = pd.Categorical.from_codes((side > 0) @ [2, 1], ["A", "B", "C", "D"])
        obs = pd.DataFrame({"day": day.astype(np.float32), "group": group}, index=names)
        write_elem(file, "obs", obs)
        write_elem(file, "var", pd.DataFrame(index=genes))
        write_elem(file, "obsm", {"X_umap": plane})


def run(name: str, folder: Path) -> None:
    """Run a verb in this process on the files of a folder."""
    verb = VERBS[name]
    if verb.call is not None:
        verb.call(folder)
        return
    from cellflow.cli.app import app

    words = [word.format(folder=folder) for word in verb.words.split()]
    app.main(words, prog_name="cellflow", standalone_mode=False)


def counts_mb(folder: Path) -> float:
    """MB of the counts of a file in memory."""
    import h5py

    with h5py.File(folder / "cells.h5ad") as file:
        parts = (file[f"X/{key}"] for key in ("data", "indices", "indptr"))
        return sum(part.size * part.dtype.itemsize for part in parts) / 1e6


def cpu_seconds() -> float:
    """Processor time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name: str, base: Path, n: int) -> dict[str, float]:
    """Run a verb on few cells, then measure it; the marks go to stderr."""
    run(name, base / str(WARM))
    folder = base / str(n)
    data = n * DIMS * 4 / 1e6 + (counts_mb(folder) if VERBS[name].counts else 0)
    peak = Peak()
    os.write(2, MARK)
    wall, cpu = time.perf_counter(), cpu_seconds()
    run(name, folder)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    os.write(2, MARK)
    return {"wall": wall, "cpu": cpu, "peak_mb": peak.above, "over": peak.above / data}


def listen(process: subprocess.Popen[bytes], limit: float) -> tuple[float, str, str]:
    """Follow the messages of a process: its longest silence, its last words, what stopped it."""
    end, longest, last, heard = time.monotonic() + limit, 0.0, math.nan, b""
    assert process.stderr is not None
    while time.monotonic() < end:
        if not select.select([process.stderr], [], [], max(0, end - time.monotonic()))[0]:
            break
        part = os.read(process.stderr.fileno(), 65_536)
        if not part:
            return longest, heard.decode(errors="replace"), ""
        if not math.isnan(last):
            longest = max(longest, time.monotonic() - last)
        if MARK in part:
            last = math.nan if not math.isnan(last) else time.monotonic()
        elif not math.isnan(last):
            last = time.monotonic()
        heard = (heard + part)[-2_000:]
    process.kill()
    return longest, heard.decode(errors="replace"), f"over {limit:g} s"


def measure_apart(name: str, base: Path, n: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure a verb in a process of its own, with limits of time and memory."""
    threads = str(asked.threads)
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    words = [sys.executable, "-m", "tests.benchmarks.verbs", base, "--one", name, "--cells", n]
    words += ["--memory", asked.memory]
    process = subprocess.Popen(
        list(map(str, words)),
        env={**os.environ, **dict.fromkeys(variables, threads), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    silence, heard, stopped = listen(process, asked.limit)
    output, _ = process.communicate()
    last = (heard.replace("\0", "").replace("\r", "\n").strip().splitlines() or [""])[-1]
    if stopped or process.returncode:
        return {"verb": name, "cells": n, "failed": stopped or last[:200]}
    found = json.loads(output.decode().splitlines()[-1])
    return {"verb": name, "cells": n, "threads": asked.threads, **found, "silence": silence}


def record(base: Path, name: str, n: int) -> Path:
    """Return the file of a result."""
    return base / str(n) / f"{name.replace(' ', '-')}.json"


def read(base: Path, name: str, n: int) -> dict[str, Any] | None:
    """Read a result, if it is there."""
    path = record(base, name, n)
    return json.loads(path.read_text()) if path.exists() else None


def complete(name: str, base: Path, n: int, asked: argparse.Namespace) -> None:
    """Measure a verb unless that is done, or what it needs is missing."""
    folder, verb, path = base / str(n), VERBS[name], record(base, name, n)
    done = read(base, name, n)
    if done is not None and name not in asked.again:
        return
    missing = [need for need in verb.needs if not (folder / VERBS[need].output).exists()]
    if missing:
        found: dict[str, Any] = {"verb": name, "cells": n, "failed": f"without {missing[0]}"}
    else:
        found = measure_apart(name, base, n, asked)
    path.write_text(json.dumps(found))
    print(json.dumps(found), flush=True)
    made = folder / verb.output
    if verb.output and not verb.keep and made.exists():
        shutil.rmtree(made) if made.is_dir() else made.unlink()


def prepare(base: Path, n: int) -> None:
    """Simulate the cells of a size; of the smallest also run what the others need."""
    folder = base / str(n)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cells.h5ad").exists():
        simulate(folder / "new.h5ad", n)
        (folder / "new.h5ad").rename(folder / "cells.h5ad")
    if n != WARM:
        return
    for name, verb in VERBS.items():
        if verb.keep and not (folder / verb.output).exists():
            run(name, folder)


def table(base: Path, sizes: Sequence[int], names: Sequence[str]) -> None:
    """Print seconds, exponents, memory at the largest size and longest silence as Markdown."""
    heads = [f"{n:,} cells, s" for n in sizes]
    heads = ["command", *heads, "exponents", "peak at the largest (over data)", "silence, s"]
    print("\n| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for name in names:
        if VERBS[name].call is perturb:
            continue
        found = [read(base, name, n) or {"failed": ""} for n in sizes]
        seconds = [
            each["failed"].split("|")[0] if "failed" in each else _seconds(each) for each in found
        ]
        growth = [
            f"{math.log(b['wall'] / a['wall']) / math.log(b['cells'] / a['cells']):.2f}"
            if "wall" in a and "wall" in b
            else "-"
            for a, b in pairwise(found)
        ]
        last = next((each for each in reversed(found) if "wall" in each), None)
        memory = "" if last is None else f"{last['peak_mb']:,.0f} MB ({last['over']:.2g})"
        silence = max((each["silence"] for each in found if "silence" in each), default=math.nan)
        row = [f"`{name}`", *seconds, ", ".join(growth), memory, f"{silence:.1f}"]
        print("| " + " | ".join(row) + " |")


def _seconds(found: dict[str, Any]) -> str:
    """Return the seconds of a result, with a star if it had one thread."""
    star = "*" if found["threads"] == 1 else ""
    return (f"{found['wall']:.0f}" if found["wall"] >= 10 else f"{found['wall']:.2g}") + star


def main() -> None:
    """Measure what is not yet measured, the small sizes first, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--again", nargs="+", choices=VERBS, default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900, help="seconds of a process")
    parser.add_argument("--memory", type=float, default=12, help="GB of data of a process")
    parser.add_argument("--table", action="store_true", help="print the table only")
    parser.add_argument("--one", choices=VERBS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        limit = int(asked.memory * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(measure(asked.one, asked.folder, *asked.cells)), flush=True)
        return
    names = [name for name in VERBS if name in {*asked.verbs, *asked.again}]
    for n in [] if asked.table else [WARM, *asked.cells]:
        prepare(asked.folder, n)
        for name in names if n != WARM else ():
            complete(name, asked.folder, n, asked)
    table(asked.folder, asked.cells, names)


if __name__ == "__main__":
    main()
