"""The tutorials that are pages run as they are written, with tiny nets and few steps."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from matplotlib import pyplot as plt

import cellflow as cf
from cellflow.cli.app import app
from cellflow.methods import recipes

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"
SMALL = cf.recipe("default", n_steps=10, net={"width": 4, "depth": 1}, batch_size=32)


def run_page():
    """The script that runs a page with its own settings."""
    spec = importlib.util.spec_from_file_location("run_page", ROOT / "scripts" / "run_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shorter(text):
    """The same with few steps, and one held-out time for three."""
    text = text.replace("times=[12, 36, 60]", "times=[36]")
    return re.sub(r"(n_steps=|--n-steps |--checkpoint-every )\d+", r"\g<1>6", text)


@pytest.fixture
def shell(run, tmp_path, monkeypatch):
    """Run a command: those of cellflow in this process, with its small settings; others by bash."""
    # tests/tl/test_benchmark.py starts processes; here they would take longer than their fits.
    monkeypatch.setattr("cellflow.cli.benchmark._count_cores", lambda: 1)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    places = {"PATH": path, "PYTHONPATH": str(ROOT), "CELLFLOW": str(ROOT)}
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def call(command):
        words = shlex.split(command.replace("\\\n", " "))
        if words[0] == "torchrun":
            # tests/training/test_parallel_cells.py runs one; here it only has to be understood.
            verb, *given = words[words.index("cellflow") + 1 :]
            app.get_command(None, verb).make_context(verb, given)
            return ""
        if words[0] == "cellflow":
            code, said, wrong = run(*words[1:])
            assert code == 0, (command, said, wrong)
            return said
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, **places, **cache},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    return call


@pytest.fixture
def page(shell, few_cells):
    """Run the blocks of a page in order: the names of its Python, what its commands said."""
    script = run_page()

    def call(name):
        names, said = {"__name__": "__main__"}, []
        with mock.patch.dict(recipes._RECIPES, default=SMALL):
            for language, text in script.blocks(TUTORIALS / f"{name}.md"):
                if language == "python":
                    exec(compile(shorter(text), name, "exec"), names)
                else:
                    said += [shell(shorter(each)) for each in script.commands(text)]
        plt.close("all")
        return names, said

    return call


# Flows of a few steps take cells anywhere, and verbs say so.
@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.slow
<<<<<<< HEAD
def test_the_page_on_images(page, tmp_path, monkeypatch):
    monkeypatch.setattr("cellflow.images.settings.read_config", lambda _path: TINY)
    names, _ = page("images")
    assert set(names["made"].images.labels) == {3}
    assert names["made"].nfe == 6
    assert list(names["table"].index) == ["generated", "test images"]
    for picture in ("grid.png", "threes.png", "scores.png", "python.png", "ways.png"):
        assert (tmp_path / picture).is_file()
=======
def test_the_page_on_evaluation(page, tmp_path):
    names, _ = page("evaluation")
    assert names["scores"]["time"].tolist() == [36]
    assert names["seeds"]["seed"].tolist() == [0, 1, 2]
    assert set(names["table"]["method"]) >= {"default", "ot-cfm", "i-cfm", "midpoint"}
    for figure in ("holdout.png", "benchmark.png", "scores.png"):
        assert (tmp_path / figure).is_file()


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
@pytest.mark.slow
def test_the_page_on_clusters(page, tmp_path):
    pytest.importorskip("snakemake")
    _, said = page("cluster")
    assert cf.Flow.load(tmp_path / "flow").recipe.n_steps == 10
    assert (tmp_path / "state").is_file()
    table = pd.read_csv(tmp_path / "compared" / "benchmark.csv")
    assert set(table.loc[table["role"] == "model", "method"]) == {"ot-cfm", "i-cfm"}
    assert re.search(r"^part +2$", said[-4], re.MULTILINE)
    assert re.search(r"^report +1$", said[-1], re.MULTILINE)


@pytest.mark.parametrize("name", ["cluster"])
def test_scripts_for_slurm_are_shell_and_call_what_there_is(name):
    scripts = re.findall(
        r"^```bash\n(.*?)^```", (TUTORIALS / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert scripts
    for text in scripts:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        for call in re.findall(r"^(?:srun )?cellflow (.*)$", text, re.MULTILINE):
            verb, *words = shlex.split(call.replace('"$SLURM_ARRAY_TASK_ID/20"', "3/20"))
            app.get_command(None, verb).make_context(verb, words)
        for place in re.findall(r"\$CELLFLOW/([^\"]+)", text):
            assert (ROOT / place).exists()
>>>>>>> main
