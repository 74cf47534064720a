"""What docs/reliability.md promises of fits that are stopped, full disks, and seeds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow import FileError, InputError
from cellflow._signals import defer_signals
from cellflow.io import write_h5ad
from cellflow.training import Trainer

FIT = ["fit", "course.h5ad", "--use-rep", "X_pca", "--config", "c.yaml", "--quiet"]
KEPT = ["--checkpoint", "kept", "--checkpoint-every", "4", "--resume"]


@pytest.fixture
def folder(course, tmp_path):
    course.write_h5ad(tmp_path / "course.h5ad")
    (tmp_path / "c.yaml").write_text("recipe: {n_steps: 12, batch_size: 16, net: {width: 8}}\n")
    return tmp_path


@pytest.fixture
def small():
    return cf.recipe("default", n_steps=12, batch_size=16, net={"width": 8})


@pytest.fixture(autouse=True)
def _heard():
    """Ctrl-C reaches these processes, though they may have been started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def weights(flow):
    return (flow / "tensors.safetensors").read_bytes()


def at_step(monkeypatch, step, do):
    """Do something in the middle of a step."""
    whole = Trainer.step

    def interrupted(self):
        if self.steps == step:
            do()
        return whole(self)

    monkeypatch.setattr(Trainer, "step", interrupted)


# Going on


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("method", ["default", "ot-cfm"])
def test_a_fit_that_is_asked_to_stop_keeps_its_state_and_goes_on(
    number, code, method, run, folder, monkeypatch
):
    method = ["--method", method]
    assert run(*FIT, *method, "--output", "whole")[0] == 0
    with monkeypatch.context() as patch:
        at_step(patch, 6, lambda: signal.raise_signal(number))
        stopped, out, err = run(*FIT, *method, "--output", "flow", *KEPT)
    assert (stopped, out, err.strip()) == (code, "", "cellflow: stopped")
    assert not (folder / "flow").exists()
    taken = []
    at_step(monkeypatch, 7, lambda: taken.append(True))
    at_step(monkeypatch, 6, lambda: pytest.fail("the step that was done is done again"))
    assert run(*FIT, *method, "--output", "flow", *KEPT)[0] == 0
    assert taken
    assert weights(folder / "flow") == weights(folder / "whole")


def test_a_second_signal_stops_at_once(run, folder, monkeypatch):
    def twice():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it was held back")

    at_step(monkeypatch, 6, twice)
    assert run(*FIT, "--output", "flow", *KEPT)[0] == 143


def test_without_a_checkpoint_a_signal_is_served_at_once(run, folder, monkeypatch):
    at_step(monkeypatch, 6, lambda: signal.raise_signal(signal.SIGTERM))
    assert run(*FIT, "--output", "flow")[0] == 143
    assert sorted(each.name for each in folder.iterdir()) == ["c.yaml", "course.h5ad"]


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with defer_signals(True) as held:
        assert signal.getsignal(signal.SIGTERM) != before
    assert held.caught is None
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_killed_fits_end_with_the_weights_of_one_that_was_not():
    """A few kills; `make kills` has fifty."""
    script = Path(__file__).parent / "benchmarks" / "kill_fits.py"
    done = subprocess.run(
        [sys.executable, script, "--kills", "3", "--n-steps", "60"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(cf.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills" in done.stdout


def test_a_checkpoint_of_other_cells_or_settings_is_refused(course, small, tmp_path):
    checkpoint = cf.Checkpoint(tmp_path / "c", 4, resume=True)
    kept = {"use_rep": "X_pca", "progress": False, "checkpoint": checkpoint}
    cf.tl.fit(course, recipe=small, **kept)
    other = course.copy()
    other.obsm["X_pca"][7, 0] += 1e-3
    with pytest.raises(InputError, match=r"training with other settings \(data\)"):
        cf.tl.fit(other, recipe=small, **kept)
    with pytest.raises(InputError, match=r"other settings \(seed\); use those, or start"):
        cf.tl.fit(course, recipe=small, rng=1, **kept)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:-7])
    with pytest.raises(FileError, match="cannot be read as a checkpoint"):
        cf.tl.fit(course, recipe=small, **kept)


def test_a_checkpoint_to_resume_from_that_is_missing_is_named(course, small, tmp_path, caplog):
    settings = {"use_rep": "X_pca", "recipe": small, "progress": False}
    checkpoint = cf.Checkpoint(tmp_path / "c", 4, resume=True)
    for told in (True, False):
        caplog.clear()
        cf.tl.fit(course, checkpoint=checkpoint, **settings)
        assert (f"{tmp_path / 'c'} does not exist yet" in caplog.text) == told


def test_resume_needs_a_checkpoint_and_none_is_overwritten_unasked(run, folder):
    assert "--resume needs --checkpoint FILE" in run(*FIT, "--output", "f", "--resume")[2]
    (folder / "kept").write_text("mine")
    code, _, err = run(*FIT, "--output", "f", "--checkpoint", "kept")
    assert code == 2
    assert "kept exists already" in err
    assert (folder / "kept").read_text() == "mine"


# Full disks and folders that cannot be written


LIMITED = """
import resource, sys
from cellflow.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""

WRITERS = {
    "flow": (["fit", "course.h5ad", "--output", "old.flow"], "old.flow"),
    "checkpoint": (["fit", "course.h5ad", "--output", "f", "--checkpoint", "old.kept",
                    "--checkpoint-every", "1"], "old.kept"),
    "h5ad": (["embed", "course.h5ad", "--output", "old.h5ad"], "old.h5ad"),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_what_was_there(writer, course, small, tmp_path):
    """A limit on the size of files stands in for the disk."""
    words, name = WRITERS[writer]
    course.write_h5ad(tmp_path / "course.h5ad")
    course.write_h5ad(tmp_path / "old.h5ad")
    (tmp_path / "old.kept").write_text("what was kept before")
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=small, progress=False)
    flow.save(tmp_path / "old.flow")
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    words = [*words, "--use-rep", "X_pca", "--force", *(["--n-steps", "3"] * (words[0] == "fit"))]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "8000", *words], cwd=tmp_path,
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(cf.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"cellflow: cannot write {name}: ")
    after = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    assert after == before
    assert not list(tmp_path.glob(".*"))


READ_ONLY = [
    ["fit", "course.h5ad", "--use-rep", "X_pca", "--output", "/proc/flow"],
    ["fit", "course.h5ad", "--use-rep", "X_pca", "--output", "f", "--checkpoint", "/proc/kept"],
    ["embed", "course.h5ad", "--use-rep", "X_pca", "--output", "/proc/a.h5ad"],
]


@pytest.mark.parametrize("words", READ_ONLY, ids=["flow", "checkpoint", "h5ad"])
def test_what_cannot_be_written_is_told_before_the_work(words, run, folder, monkeypatch):
    monkeypatch.setattr("cellflow.io.read_h5ad", lambda *_: pytest.fail("it began to work"))
    code, _, err = run(*words)
    assert code == 2
    assert err.startswith("cellflow: cannot write /proc/")
    assert err.count("\n") == 1


# Seeds and records


def without_cost(flow):
    description = json.loads((flow / "flow.json").read_text())
    description["record"].pop("cost")
    return {**description, "sha256": None}


def test_one_seed_gives_one_flow_to_the_byte(course, small, tmp_path):
    """Of the description only the seconds and megabytes that a fit took may differ."""
    for name, rng in (("a", 3), ("b", 3), ("c", 4)):
        flow = cf.tl.fit(course, use_rep="X_pca", recipe=small, rng=rng, progress=False)
        flow.save(tmp_path / name)
    a, b, c = (tmp_path / name for name in "abc")
    assert weights(a) == weights(b) != weights(c)
    assert without_cost(a) == without_cost(b)


def test_a_flow_says_what_it_was_made_of_and_from(course, small):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=small, rng=3, device="cpu", progress=False)
    assert (flow.record.seed, flow.record.device) == (3, "cpu")
    assert {"cellflow", "python", "torch", "numpy"} <= set(flow.record.versions)
    assert flow.recipe.n_steps == 12
    assert course.uns["cellflow"]["fit"]["data"] == flow.inputs.data
    assert len(flow.inputs.data) == 16
    moved = course.copy()
    moved.obsm["X_pca"][0, 0] += 1e-3
    later = course.copy()
    later.obs["day"] += 1
    for other in (moved, later):
        again = cf.tl.fit(other, use_rep="X_pca", recipe=small, device="cpu", progress=False)
        assert again.inputs.data != flow.inputs.data


def test_predictions_and_scores_say_it_too(course, small, tmp_path):
    flow = cf.tl.fit(course, use_rep="X_pca", recipe=small, progress=False)
    predicted = cf.tl.interpolate(course, flow, 1.5, rng=5)
    cf.tl.holdout(course, use_rep="X_pca", times=[1], recipe=small, progress=False)
    write_h5ad(predicted, tmp_path / "p.h5ad")
    entry = anndata.read_h5ad(tmp_path / "p.h5ad").uns["cellflow"]["interpolate"]
    assert entry["flow_id"] == flow.fingerprint
    assert entry["seed"] == 5
    assert entry["versions"]["cellflow"] == cf.__version__
    scored = course.uns["cellflow"]["holdout"]
    assert scored["versions"]["cellflow"] == cf.__version__
    assert {"recipe", "seeds", "device", "data"} <= set(scored["settings"])
    assert np.isfinite(predicted.obsm["X_cellflow"]).all()


MADE = {
    "push": lambda adata, flow: cf.tl.push(adata, flow, "day=0", 1, rng=5),
    "pull": lambda adata, flow: cf.tl.pull(adata, flow, "day=1", 0, rng=5),
    "trajectories": lambda adata, flow: cf.tl.trajectories(adata, flow, times=2, rng=5),
    "fate_probabilities": lambda adata, flow: cf.tl.fates(adata, flow, "kind", rng=5, copy=True),
    "cellflow_ancestors": lambda adata, flow: cf.tl.ancestors(
        adata, flow, "day=1", 0, rng=5, copy=True
    ),
    "cellflow_descendants": lambda adata, flow: cf.tl.descendants(
        adata, flow, "day=0", 1, rng=5, copy=True
    ),
    "cellflow_pseudotime": lambda adata, flow: cf.tl.pseudotime(adata, flow, rng=5, copy=True),
    "velocity": lambda adata, flow: cf.tl.velocity(adata, flow, copy=True),
    "cellflow_potential": lambda adata, flow: cf.tl.landscape(adata, flow, copy=True),
}


@pytest.mark.filterwarnings("ignore::cellflow.CellflowWarning")
def test_whatever_a_flow_tells_says_which_flow_data_seed_and_versions_it_is_of(course, small):
    course.obs["kind"] = np.tile(["a", "b"], 120)
    flow = cf.tl.fit(course, use_rep="X_pca", method="ot-cfm", recipe=small, progress=False)
    for key, make in MADE.items():
        entry = make(course, flow).uns["cellflow"][key]
        assert entry["flow_id"] == flow.fingerprint, key
        assert entry["data"] == flow.inputs.data, key
        assert entry["device"] == "cpu", key
        assert entry["versions"]["cellflow"] == cf.__version__, key
        assert entry.get("seed", 5) == 5, key
