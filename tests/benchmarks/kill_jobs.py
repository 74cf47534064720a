"""Kill a job of each workflow half way, run the workflow again, and compare its tables.

    python tests/benchmarks/kill_jobs.py images benchmark trajectory

A `cellflow` on the PATH starts the real one and, at the job in the middle, kills it by SIGKILL
after a random share of the CPU time that it takes (Linux). The output says which command that was
and whether the tables came out as those of a run that nobody disturbed; the exit code is 1 where
they did not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

WORKFLOWS = Path(__file__).parents[2] / "workflows"

#: What each workflow ends in, and columns that say how long something took.
TABLES = {
    "images": ["scores.tsv"],
    "benchmark": ["benchmark.csv"],
    "trajectory": ["*/scores.json", "*/transitions.csv"],
}
TIMES = ["seconds", "memory", "cost"]

STAND_IN = """#!{python}
import os, resource, subprocess, sys, time
from pathlib import Path
folder, words = Path(os.environ["STAND_IN"]), sys.argv[1:]
number = len(list(folder.glob("*.call")))
(folder / f"{{number}}.call").write_text(" ".join(words))
job = subprocess.Popen([sys.executable, "-m", "cellflow", *words])
if number == int(os.environ.get("KILL", -1)):
    ticks = float(os.environ["AFTER"]) * os.sysconf("SC_CLK_TCK")
    while job.poll() is None:
        if sum(map(int, Path(f"/proc/{{job.pid}}/stat").read_text().split()[13:15])) > ticks:
            job.kill()
        time.sleep(0.01)
code = job.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
(folder / f"{{number}}.took").write_text(str(used.ru_utime + used.ru_stime))
sys.exit(137 if code < 0 else code)
"""


def run(name: str, home: Path, calls: Path, **more: str) -> int:
    """Run a workflow in its test folder's copy, one job at a time."""
    calls.mkdir()
    words = ["--snakefile", WORKFLOWS / name / "workflow/Snakefile", "--directory", home]
    with (calls / "log").open("w") as log:
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *map(str, words), "--cores", "1"],
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(home.parent), os.environ["PATH"]]),
                "STAND_IN": str(calls),
                **more,
            },
            stdout=log,
            stderr=log,
            check=False,
        ).returncode


def tables(name: str, home: Path) -> dict[str, str]:
    """What a workflow ended in, without times."""
    found = {}
    for pattern in TABLES[name]:
        for path in sorted((home / "results").glob(pattern)):
            found[path.relative_to(home).as_posix()] = text_of(path)
    return found


def text_of(path: Path) -> str:
    """A table, without times."""
    if path.suffix == ".json":
        return json.dumps(without_times(json.loads(path.read_text())))
    table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    told = [column for column in table if not any(word in column for word in TIMES)]
    return str(table[told].to_csv())


def without_times(value: object) -> object:
    """A document, without times."""
    if isinstance(value, dict):
        return {
            key: without_times(each)
            for key, each in value.items()
            if not any(word in key for word in TIMES)
        }
    return [without_times(each) for each in value] if isinstance(value, list) else value


def kill(name: str, folder: Path, chance: random.Random) -> bool:
    """Whether a workflow, of which a job was killed, ends as one that was left alone."""
    stand_in = folder / "cellflow"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    whole, home = folder / "whole", folder / "killed"
    for each in (whole, home):
        shutil.copytree(WORKFLOWS / name / ".test/config", each / "config")
        settings = [*each.glob("config/*.yaml"), *each.glob("config/*.tsv")]
        for path in settings:
            data = str(WORKFLOWS.parent / "cellflow/datasets/data")
            text = path.read_text()
            for up in ("../../../../", "../../../"):
                text = text.replace(f"{up}cellflow/datasets/data", data)
            path.write_text(text)
    begun = time.perf_counter()
    assert run(name, whole, folder / "first") == 0, (folder / "first/log").read_text()
    calls = sorted((folder / "first").glob("*.call"), key=lambda path: int(path.stem))
    at = len(calls) // 2
    after = chance.uniform(0.2, 0.9) * float((calls[at].with_suffix(".took")).read_text())
    stopped = run(name, home, folder / "second", KILL=str(at), AFTER=str(after))
    code = run(name, home, folder / "third")
    left = len(list((folder / "third").glob("*.call")))
    same = tables(name, whole) == tables(name, home)
    print(
        f"{name}: `cellflow {calls[at].read_text().split()[0]}`, job {at + 1} of {len(calls)}, "
        f"killed after {after:.1f} s of CPU (exit code {stopped}); again: exit code {code}, "
        f"{left} calls, {len(tables(name, whole))} tables {'the same' if same else 'DIFFERENT'}; "
        f"{time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    return stopped != 0 and code == 0 and same and bool(tables(name, whole))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflows", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    right = []
    for name in given.workflows:
        with tempfile.TemporaryDirectory() as folder:
            right.append(kill(name, Path(folder), chance))
    sys.exit(not all(right))
