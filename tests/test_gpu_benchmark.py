"""The measurements on a GPU: what is written, what is done again, and a rehearsal on the CPU."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.gpu import image_steps
from tests.benchmarks.gpu.carried import CELLS, check
from tests.benchmarks.gpu.results import WHOLE, Results
from tests.benchmarks.gpu.settings import LIMITS, Settings
from tests.benchmarks.gpu.summary import summarise

ROOT = Path(__file__).parents[1]

#: States of tests that did not fail.
PASSED = ("done", "passed", "skipped")


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results.jsonl")


def rehearse(folder, *options):
    """Exit code and output of a rehearsal."""
    command = [sys.executable, "-m", "tests.benchmarks.gpu", str(folder), "--rehearse", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def fails():
    raise ValueError("no room")


def test_jobs_that_failed_are_done_again_and_the_others_are_not(results):
    calls = []
    jobs = {"a": lambda: calls.append("a") or {}, "b": fails, "c": lambda: {"x": 1}}
    assert not results.run("steps", jobs)
    assert results.last("steps")["b"]["error"] == "ValueError: no room"
    assert not results.is_done("steps")
    assert results.run("steps", {**jobs, "b": lambda: {"x": 2}})
    assert calls == ["a"]
    assert [results.last("steps")[job].get("x") for job in "abc"] == [None, 2, 1]
    assert results.is_done("steps")


def test_half_a_line_of_a_process_that_was_killed_harms_no_other(results):
    results.append("steps", "a", "done")
    with results.path.open("a") as file:
        file.write('{"part": "steps", "job": "b", "sta')
    results.append("steps", "c", "done")
    assert list(results.last("steps")) == ["a", "c"]


def test_a_window_leaves_the_steps_after_the_other_sides_turn_out(monkeypatch):
    # A step of ours takes a second, the first six of a window none less; one of theirs takes three.
    now = [0.0]
    monkeypatch.setattr(image_steps, "perf_counter", lambda: now[0])

    def theirs():
        now[0] += 3

    turns = image_steps._Turns(theirs, window=5, repeats=2, batch_size=10, device="cpu")

    class Trainer:
        steps = 0

    for step in range(1, turns.n_steps + 1):
        now[0] += 1 if (step - 1) % (image_steps.UNTIMED + 5) >= image_steps.UNTIMED else 100
        Trainer.steps = step
        turns.after_step(Trainer)
    row = turns.row()
    assert row["ours"] == [10, 10]
    assert row["torchcfm"] == pytest.approx([10 / 3, 10 / 3])
    assert row["ratio"] == [3, 3]


def test_a_fit_has_reached_the_goal_if_neither_score_is_higher(results):
    scores = {"TorchCFM": (60, 1.0, 0.5), "as good": (2, 1.0, 0.5), "worse": (1, 0.9, 0.6)}
    for name, (seconds, w1, energy) in scores.items():
        row = {"fit_seconds": seconds, "w1": w1, "energy_distance": energy}
        results.append("cells", name, "done", name=name, seed=0, **row)
    text = summarise(results, {})
    assert "| as good | 0 | 2.00 | 1.000 | 0.500 | 30.0 | yes |" in text
    assert "| worse | 0 | 1.00 | 0.900 | 0.600 | 60.0 | no |" in text


def test_results_of_other_settings_are_refused(tmp_path, results):
    results.append("run", "settings", "done", device="a GPU", n_steps=9, torch="2", cuda="12")
    code, output = rehearse(tmp_path)
    assert code == 2
    assert "name another folder" in output


def test_parts_without_their_data_are_left_out_and_others_are_not(tmp_path, capsys):
    damaged = tmp_path / "images.npz"
    damaged.write_bytes(b"no images")
    left_out = check(Settings(tmp_path, rehearse=False, n_steps=1, images=damaged, cells=tmp_path))
    assert "steps" not in left_out
    assert "tests" not in left_out
    assert {"--images", "--inception"} <= set(left_out["methods"].replace(",", "").split())
    assert "--cells" in left_out["cells"]
    printed = capsys.readouterr().out
    assert "--images: missing" in printed
    assert "it has no cite_pca100.h5ad" in printed


def test_pieces_are_small_and_are_unpacked_elsewhere_to_the_same_bytes(tmp_path):
    files = {"IMAGES": "some images.npz", "INCEPTION": "weights.pth", "DATA": CELLS}
    contents = {name: np.random.default_rng(len(name)).bytes(9000) for name in files}
    for name, file in files.items():
        (tmp_path / file).write_bytes(contents[name])
    packed, there = tmp_path / "packed", tmp_path / "another machine"
    options = ["--images", tmp_path / files["IMAGES"], "--inception", tmp_path / files["INCEPTION"]]
    options += ["--cells", tmp_path, "--megabytes", "0.01", "--no-packages"]
    command = [sys.executable, "-m", "tests.benchmarks.gpu.pack", packed, *options]
    subprocess.run(command, cwd=ROOT, check=True)
    pieces = sorted(packed.iterdir())
    assert len(pieces) > 2
    there.mkdir()
    for piece in pieces:
        assert sum(file.stat().st_size for file in piece.iterdir()) <= 10_000
        shutil.copytree(piece, there, dirs_exist_ok=True)
    shutil.rmtree(packed)
    for file in files.values():
        (tmp_path / file).unlink()

    unpack = ["bash", str(there / "unpack.sh")]
    done = subprocess.run(unpack, cwd=tmp_path, capture_output=True, text=True, check=True)
    export, run = done.stdout.splitlines()[-2:]
    variables = dict(word.split("=") for word in shlex.split(export.removeprefix("export ")))
    assert variables.pop("PYTHONPATH") == "$PWD"
    assert run == "python3 -m tests.benchmarks.gpu results/gpu"
    variables["CELLFLOW_DATA"] += f"/{CELLS}"
    found = {name: Path(variables[f"CELLFLOW_{name}"]).read_bytes() for name in files}
    assert found == contents

    (there / "pack.2").unlink()
    done = subprocess.run(unpack, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pack.2 is missing: copy it from folder 2" in done.stderr


@pytest.mark.slow
def test_a_rehearsal_runs_every_part_and_goes_on_where_it_failed(tmp_path, results):
    # A file in the place of a folder: no flow can be stored.
    blocked = tmp_path / "work" / "flows"
    blocked.parent.mkdir()
    blocked.touch()
    code, output = rehearse(tmp_path)
    assert code == 1
    states = {part: results.last(part)[WHOLE]["status"] for part in LIMITS}
    assert states == {"tests": "done", "steps": "done", "methods": "failed", "cells": "done"}
    assert "train i-cfm" in output.split("| methods | failed")[1].splitlines()[0]
    assert results.is_done("methods", "floor")
    before = {part: results.rows(part) for part in LIMITS}
    assert {"done", "passed"} <= {row["status"] for row in before["tests"]} <= set(PASSED)
    assert all(min(row["ours"]) > 0 for row in before["steps"][:-1])
    assert all(row["w1"] > 0 for row in before["cells"][:-1])

    blocked.unlink()
    assert rehearse(tmp_path)[0] == 0
    assert all(results.rows(part) == before[part] for part in ("tests", "steps", "cells"))
    last = results.last("methods")
    assert {row["status"] for row in last.values()} == {"done"}
    assert sum(row["job"] == "floor" for row in results.rows("methods")) == 1
    scores = {(row["flow"], row["by"]) for row in last.values() if "by" in row}
    assert {("mean-flow", "average:1"), ("oat-fm", "dopri5"), ("aot", "edm-heun:18")} <= scores

    written = results.path.read_bytes()
    assert rehearse(tmp_path)[0] == 0
    assert results.path.read_bytes() == written


@pytest.mark.slow
def test_a_part_that_ran_out_of_time_is_reported_and_done_again(tmp_path, results):
    code, output = rehearse(tmp_path, "--parts", "cells", "--seconds", "1")
    assert code == 1
    assert "| cells | stopped" in output
    assert rehearse(tmp_path, "--parts", "cells")[0] == 0
    assert [row["status"] for row in results.rows("cells") if row["job"] == WHOLE] == [
        "stopped", "done",
    ]  # fmt: skip
