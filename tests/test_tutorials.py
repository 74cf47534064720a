"""The notebooks of docs/tutorials run from top to bottom, and show what their code gives."""

import base64
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import cellflow as cf
from cellflow.cli.app import app
from cellflow.methods import recipes
from tests.small_images import TINY

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

#: Largest size of a notebook with its figures, in bytes.
LARGEST = 200_000

#: Parameters with which a notebook takes seconds.
SMALL = {
    "clones": {"N_STEPS": 20},
    # A fit that is stopped after a sixth of its steps and before the last.
    "cluster": {"N_STEPS": 300},
    "compare": {"N_CELLS": 60, "N_PERMUTATIONS": 99},
    "course": {"N_STEPS": 20},
    "evaluation": {"N_STEPS": 6, "TIMES": [36]},
    "fates": {"N_STEPS": 20},
    "growth": {"N_STEPS": 20},
    "images": {"N_STEPS": 6},
    "quick_start": {"N_STEPS": 20},
    "your_data": {"N_STEPS": 20},
}


def run_notebooks():
    """The script that runs notebooks and keeps what they show."""
    spec = importlib.util.spec_from_file_location(
        "run_notebooks", ROOT / "scripts" / "run_notebooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    return json.loads(path.read_text())


def run(path, shell, **parameters):
    """Run the cells of a notebook; parameters replace what its tagged cell sets."""
    names = {"__name__": "__main__", "_shell": shell}
    for number, cell in enumerate(read(path)["cells"]):
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        # Names in braces are put into a command.
        source = re.sub(r"(?m)^!(.*)$", r"_shell(rf'''\1''')", source)
        exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert parameters.keys() <= names.keys()
            names |= parameters
    return names


@pytest.fixture
def notebook(run_cellflow, tmp_path, monkeypatch):
    """Run a notebook by name, with a narrow net and the small parameters."""
    monkeypatch.chdir(tmp_path)
    narrow = cf.recipe("default", net={"width": 16})
    monkeypatch.setitem(recipes._RECIPES, "default", narrow)

    def call(name, **parameters):
        return run(FOLDER / f"{name}.ipynb", run_cellflow, **(parameters or SMALL[name]))

    yield call
    plt.close("all")


@pytest.fixture
def run_cellflow(request, tmp_path, monkeypatch):
    """Run a command: one of cellflow in this process, others by bash; return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    places = {"PATH": path, "PYTHONPATH": str(ROOT), "CELLFLOW": str(ROOT)}
    for name, value in {**places, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)

    def call(command):
        program, *words = shlex.split(command)
        if program == "cellflow":
            code, said, wrong = request.getfixturevalue("run")(*words)
            # A notebook may show what is said of a file that has to be mended.
            assert code in (0, 2), (command, wrong)
            return said
        if program == "torchrun":
            # tests/training/test_parallel_cells.py runs one; here it only has to be understood.
            check_options(words[words.index("cellflow") + 1 :])
            return ""
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    return call


def check_options(words):
    """Parse a command of cellflow without running it."""
    command, context = app, None
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(context, name)
    command.make_context(command.name, words)


# Flows of a few steps take cells anywhere, and verbs say so.
few_steps = pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
many_figures = pytest.mark.filterwarnings("ignore:More than 20 figures:RuntimeWarning")


@few_steps
@many_figures
@pytest.mark.slow
def test_the_course_runs_from_cells_to_a_report(notebook, tmp_path):
    names = notebook("course")
    assert names["flow"].recipe.n_steps == 20
    page = (tmp_path / "report.html").read_text()
    for section in ("accuracy", "velocity", "fates", "trust"):
        assert f'id="{section}"' in page


@few_steps
@pytest.mark.slow
def test_the_quick_start_predicts_and_scores(notebook, tmp_path):
    names = notebook("quick_start")
    assert names["predicted"].uns["cellflow"]["interpolate"]["time"] == 30
    assert names["scores"]["time"].tolist() == [12, 36, 48]
    assert (tmp_path / "report.html").is_file()


@few_steps
@pytest.mark.slow
def test_the_evaluation_compares_times_seeds_donors_and_methods(few_cells, notebook):
    names = notebook("evaluation")
    assert names["scores"]["time"].tolist() == [36]
    assert names["seeds"]["seed"].tolist() == [0, 1, 2]
    assert (names["between"]["w1_replicates"] > 2 * names["between"]["w1_reference"]).all()
    assert names["unseen"]["replicate"].tolist() == ["donor_1", "donor_2", "donor_3"]
    assert set(names["table"]["method"]) >= {"default", "ot-cfm", "i-cfm", "midpoint"}
    # The distribution of the ring does not change, and its cells turn.
    still = names["still"].iloc[0]
    assert abs(still["w1_midpoint"] - still["w1_reference"]) < 2 * still["w1_reference_sd"]
    first, second = (names["angles"][300 * day : 300 * (day + 1)] for day in (0, 1))
    assert second - first == pytest.approx(np.pi / 2)


@few_steps
@pytest.mark.slow
def test_a_stopped_fit_goes_on_and_parts_of_a_benchmark_meet(
    few_cells, run_cellflow, tmp_path, monkeypatch
):
    pytest.importorskip("snakemake")
    monkeypatch.chdir(tmp_path)
    said = []
    # Its fits are compared with one of another process, so that the default is as it is.
    path = FOLDER / "cluster.ipynb"
    names = run(path, lambda command: said.append(run_cellflow(command)), **SMALL["cluster"])
    plt.close("all")
    assert names["process"].returncode == 143
    assert (tmp_path / "state").is_file()
    stopped, whole = (cf.Flow.load(tmp_path / name) for name in ("flow", "whole"))
    assert stopped.recipe.n_steps == 300
    assert stopped.fingerprint == whole.fingerprint
    table = pd.read_csv(tmp_path / "compared" / "benchmark.csv")
    assert set(table.loc[table["role"] == "model", "method"]) == {"ot-cfm", "i-cfm"}
    assert re.search(r"^part +2$", said[-2], re.MULTILINE)
    assert re.search(r"^report +1$", said[-1], re.MULTILINE)


@few_steps
@pytest.mark.slow
def test_a_file_like_that_of_cellxgene_is_read_as_it_should_be(notebook, tmp_path):
    names = notebook("your_data")
    adata = names["adata"]
    assert adata.n_obs == 1_200 - 6
    assert sorted(adata.obs["cellflow_time"].unique()) == [5, 6, 8, 11]
    assert adata.raw.X.max() == adata.raw.X.max().round()
    assert names["drivers"]["gene"].str.startswith("GENE").all()
    assert (tmp_path / "week7.h5ad").is_file()


@few_steps
@pytest.mark.slow
def test_rates_make_fates_right_where_fates_grow_differently(notebook):
    names = notebook("growth")
    error = names["error"][names["time"] == 2].mean()
    # Fates are of transport plans, which few steps of training do not change.
    assert error["evidence: rates"] < 0.5 * error["evidence: none"]
    assert error["evidence: none"] < error["base rate"]


@few_steps
@pytest.mark.slow
def test_open_fates_are_left_open_by_plans_and_not_by_the_flow(notebook):
    brier = notebook("fates")["brier"]
    for day in (0.0, 2.0):
        assert brier.loc["truth", day] < brier.loc["bridge", day] < brier.loc["base rate", day]
        assert brier.loc["nearest cells", day] > brier.loc["base rate", day]


@pytest.mark.slow
def test_arms_part_at_the_true_time_and_donors_are_no_effect(notebook):
    names = notebook("compare", N_CELLS=200, N_PERMUTATIONS=99)
    first = names["table"].iloc[0]
    assert (first["parted_after"], first["parted_by"]) == (2, 4)
    assert (names["of_cells"]["p"] <= 0.05).all()
    assert (names["of_donors"]["p"] > 0.05).all()


@few_steps
@pytest.mark.slow
def test_fates_are_scored_against_clones(shared_data, notebook):
    scores = notebook("clones")["scores"]
    assert scores.loc["shares of day 6", "AUROC"] == 0.5
    assert scores.loc["bridge (default)", "AUROC"] > scores.loc["own state", "AUROC"]
    assert scores.loc["bridge (default)", "Brier"] < scores.loc["shares of day 6", "Brier"]


@few_steps
@pytest.mark.slow
def test_images_are_trained_sampled_scored_and_translated(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr("cellflow.images.settings.read_config", lambda _path: TINY)
    names = notebook("images")
    assert names["flow"].recipe.n_steps == 6
    assert names["turn"].recipe.n_steps == 2
    np.testing.assert_array_equal(names["made"].images.labels, np.tile(np.arange(10), 10))
    assert set(names["threes"].images.labels) == {3}
    assert names["turned"].frames.shape == (9, 6, 8, 8, 1)
    scores = names["scores"]
    assert scores.loc[scores["of"] == "generated", "by"].unique().tolist() == [
        "euler:2", "euler:4", "euler:8", "dopri5",
    ]  # fmt: skip
    for written in ("grid.png", "threes.png", "scores.json", "zeros.png"):
        assert (tmp_path / written).is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_show_what_their_code_gives(path):
    script, kept = run_notebooks(), read(path)
    assert kept["metadata"][script.DIGEST] == script.digest_of(kept), (
        f"the code of {path.name} has changed: python scripts/run_notebooks.py {path.stem}"
    )
    outputs = [output for cell in kept["cells"] for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output["output_type"] == "error" for output in outputs)
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_differs_from_run_to_run(path):
    script, kept = run_notebooks(), read(path)
    assert all("execution" not in cell["metadata"] for cell in kept["cells"])
    for text in script.texts_of(kept):
        assert script.find_private(text) == []
        assert not re.search(r"\r|\x1b|\d+%\|", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_in_the_text_are_those_that_are_shown(path):
    kept = read(path)
    shown = "\n".join(run_notebooks().texts_of(kept))
    shown += "\n".join("".join(c["source"]) for c in kept["cells"] if c["cell_type"] == "code")
    for cell in kept["cells"]:
        if cell["cell_type"] == "markdown":
            for number in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", "".join(cell["source"])):
                assert number in shown, (number, "".join(cell["source"]))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_blocks_for_a_shell_call_what_there_is(path):
    texts = ["".join(cell["source"]) for cell in read(path)["cells"]]
    blocks = re.findall(r"^```bash\n(.*?)^```", "\n".join(texts), re.DOTALL | re.MULTILINE)
    assert blocks or path.stem != "cluster"
    for text in blocks:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        joined = text.replace("\\\n", " ").replace('"$SLURM_ARRAY_TASK_ID/20"', "3/20")
        for call in re.findall(r"^(?:srun )?cellflow (.*)$", joined, re.MULTILINE):
            check_options(shlex.split(call))
        for place in re.findall(r"\$CELLFLOW/([^\"]+)", text):
            assert (ROOT / place).exists()


def test_a_bar_and_colours_of_a_terminal_are_left_out():
    script = run_notebooks()
    written = "one\n\rfit: 50%|## | 1/2 [00:01<00:01]\rtwo\n\n\x1b[A\x1b[1mthree\x1b[0m\r\n"
    output = {"output_type": "stream", "name": "stderr", "text": written}
    assert script.clean_output(output)["text"] == "one\ntwo\nthree\n"
    bar = {"output_type": "stream", "name": "stderr", "text": "fit: 100%|##| 2/2 [00:02<00:00]"}
    assert script.clean_output(bar) is None


def test_a_picture_is_kept_once():
    script, written = run_notebooks(), io.BytesIO()
    picture = cf.images.grid(np.zeros((4, 8, 8, 1), np.uint8))
    picture.save(written, format="png")
    png = base64.b64encode(written.getvalue()).decode()
    data = {"image/png": png, "image/jpeg": "", "text/plain": "<PIL.Image.Image at 0x7f>"}
    kept = script.clean_output({"output_type": "display_data", "metadata": {}, "data": data})
    assert set(kept["data"]) == {"image/png", "text/plain"}
    assert script.find_private(kept["data"]["text/plain"]) == []


def test_a_digest_is_of_code_and_not_of_text():
    script = run_notebooks()
    code = {"cell_type": "code", "source": ["a = 1"]}
    text = {"cell_type": "markdown", "source": ["text"]}
    assert script.digest_of({"cells": [code, text]}) == script.digest_of({"cells": [code]})
    other = {"cell_type": "code", "source": ["a = 2"]}
    assert script.digest_of({"cells": [other]}) != script.digest_of({"cells": [code]})
