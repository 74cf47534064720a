"""Images on the command line: the way of a user, and one line for every mistake."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cellflow as cf
from cellflow.images.scoring.scores import read_table, write_table
from tests.small_images import TINY_YAML, digits, trained

TRAIN = ["image", "train", "--data", "digits", "--config", "tiny.yaml", "--output", "new"]
EULER = ["--solver", "euler", "--n-steps", "4"]
SAMPLE = ["image", "sample", "--flow", "flow", *EULER]
SCORE = ["image", "score", "--data", "digits", "--space", "pixels", "--output", "new.json"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """What a user has after a while: flows, images, scores, and files of other kinds."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "tiny.yaml").write_text(TINY_YAML)
    flow = trained(conditional=True, checkpoint=cf.Checkpoint(folder / "kept", 1))
    flow.save(folder / "flow")
    trained(digits().of_class(0), source=digits().of_class(1)).save(folder / "between")
    trained(method="mean-flow").save(folder / "leap")
    made = cf.images.sample(flow, 12, solver="euler", n_steps=1).images
    made.save(folder / "made.npz")  # the images alone, without what they cost
    table = cf.images.score_flow(flow, digits(), 8, by=("euler:1",), space="pixels")
    write_table(table.assign(name="flow"), folder / "scores.json")
    rows = cf.images.score(made, digits(), space="pixels").rows
    write_table(pd.DataFrame(rows), folder / "sampled.json")
    np.savez(folder / "plain.npz", images=np.zeros((20, 8, 8), np.uint8))
    np.savez(folder / "large.npz", images=np.zeros((20, 48, 48), np.uint8))
    np.savez(folder / "floats.npz", images=np.full((20, 8, 8), np.nan))
    (folder / "text.txt").write_text("no images")
    (folder / "wrong.yaml").write_text("recipe: {steps: 3}")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def here(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return tmp_path


def contents(folder):
    """Files with what is in them, and folders."""
    return {
        str(path.relative_to(folder)): path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


@pytest.mark.slow
def test_the_way_of_a_user_from_digits_to_a_table_of_scores(run, here):
    for words, made in (
        (["image", "data", "digits", "--output", "digits.png"], "digits.png"),
        (["image", "data", "digits", "--split", "test", "--output", "d.npz"], "d.npz"),
        (
            [*TRAIN, "--checkpoint", "c", "--checkpoint-every", "2", "--pictures", "pictures",
             "--pictures-every", "3", "--conditional"], "new",
        ),
        (["info", "new"], "new"),
        (["image", "sample", "--flow", "new", *EULER, "--output", "grid.png"], "grid.png"),
        (["image", "sample", "--flow", "new", *EULER, "--output", "s.npz", "--n", "9"], "s.npz"),
        ([*SAMPLE, "--n", "3", "--output", "film.gif"], "film.gif"),
        ([*SAMPLE, "--n", "3", "--show", "paths", "--output", "paths.png"], "paths.png"),
        ([*SAMPLE, "--n", "2", "--show", "interpolation", "--output", "i.gif"], "i.gif"),
        (
            [*TRAIN[:-1], "turn", "--class", "0", "--source-class", "1", "--method", "i-cfm"],
            "turn",
        ),
        (
            ["image", "translate", "--flow", "turn", "--data", "digits", "--class", "1",
             "--output", "t.png", *EULER], "t.png",
        ),
        (
            ["image", "score", "--data", "digits", "--samples", "s.npz", "--output", "s.json"],
            "s.json",
        ),
        (
            [*SCORE, "--flow", "new", "--n", "9", "--solver", "euler:2", "--figure", "s.pdf"],
            "s.pdf",
        ),
        (
            [*SCORE[:-1], "p.json", "--samples", "s.npz", "--name", "new", "--figure", "p.png"],
            "p.png",
        ),
        (
            ["image", "table", "new.json", "p.json", "--output", "t.tsv", "--figure", "t.svg"],
            "t.svg",
        ),
    ):  # fmt: skip
        code, out, err = run(*words)
        assert code == 0, (words, err)
        assert out, words
        assert (here / made).exists(), words
    assert (here / "pictures" / "step-0000003.png").exists()
    table = pd.read_csv(here / "t.tsv", sep="\t")
    assert set(table["name"]) == {"new"}
    assert set(table["by"].dropna()) == {"euler:2", "euler:4"}


def test_data_says_what_is_there(run, here):
    _, out, _ = run("image", "data", "digits")
    flat = " ".join(out.split())
    assert "images 1,437" in flat
    assert "size 8 x 8 pixels, grey" in flat
    assert f"fingerprint {digits().fingerprint}" in flat
    assert "0: 142, 1: 146" in flat
    _, out, _ = run("image", "data", "digits", "--split", "test", "--class", "3")
    assert "images 36" in " ".join(out.split())


def test_data_as_a_file_is_data(run, here):
    run("image", "data", "digits", "--class", "7", "--size", "4", "--output", "sevens.npz")
    sevens = cf.images.read(here / "sevens.npz")
    assert sevens.shape == (1, 4, 4)
    assert set(sevens.labels) == {7}
    assert run(*TRAIN, "--data", "sevens.npz", "--quiet")[0] == 0


def test_train_and_sample_agree_with_the_api(run, here):
    run(*TRAIN, "--seed", "3", "--conditional", "--method", "vp", "--n-steps", "2", "--quiet")
    flow = cf.Flow.load(here / "new")
    same = trained(config=str(here / "tiny.yaml"), rng=3, conditional=True, method="vp", n_steps=2)
    assert flow.fingerprint == same.fingerprint
    run("image", "sample", "--flow", "new", "--class", "4", "--n", "5", "--seed", "2", *EULER,
        "--output", "s.npz")  # fmt: skip
    made = cf.images.read(here / "s.npz")
    api = cf.images.sample(same, 5, label="4", solver="euler", n_steps=4, rng=2).images
    assert made.fingerprint == api.fingerprint
    assert set(made.labels) == {4}


def test_latents_and_a_prior_reach_the_training(run, here):
    ends = ["--class", "0", "--source-class", "1", "--latents", "6", "--n-steps", "3"]
    train = ["image", "train", "--data", "digits", *ends]
    assert run(*train, "--output", "first")[0] == 0
    words = [*train, "--coupling", "acceleration", "--prior", "first", "--output", "second"]
    assert run(*words)[0] == 0
    first, second = (cf.Flow.load(here / name) for name in ("first", "second"))
    assert first.dim == 6
    assert second.inputs.prior == first.fingerprint
    words = ["image", "translate", "--flow", "second", "--data", "digits", "--class", "1", *EULER]
    assert run(*words, "--output", "t.npz")[0] == 0
    assert len(cf.images.read(here / "t.npz")) == int((digits().labels == 1).sum())


@pytest.mark.slow
def test_a_flow_is_fine_tuned_as_by_the_api(run, here, few_points):
    words = ["image", "finetune", "--flow", "flow", "--data", "digits", "--n-steps", "3"]
    words += ["--target", "hermite", "--seed", "3", "--checkpoint", "state"]
    words += ["--checkpoint-every", "2"]
    code, out, err = run(*words, "--output", "tuned")
    assert code == 0, err
    assert "path energy" in out
    code, out, _ = run(*words, "--resume", "--output", "again", "--quiet")
    assert (code, out) == (0, "")
    flow = cf.Flow.load(here / "flow")
    method = cf.method("oat-fm", sigma=0, oat_target="hermite")
    same = cf.images.finetune(flow, digits(), method=method, n_steps=3, rng=3, progress=False)
    for name in ("tuned", "again"):
        assert cf.Flow.load(here / name).fingerprint == same.fingerprint


def test_a_training_goes_on_from_its_checkpoint(run, here):
    words = [*TRAIN[:-1], "resumed", "--conditional", "--checkpoint", "kept"]
    (here / "before").write_bytes((here / "kept").read_bytes())
    code, _, err = run(*words)
    assert code == 2
    assert "kept exists already" in err
    assert (here / "kept").read_bytes() == (here / "before").read_bytes()
    assert run(*words, "--resume")[0] == 0
    assert cf.Flow.load(here / "resumed").fingerprint == cf.Flow.load(here / "flow").fingerprint


def test_pictures_and_films_have_a_row_an_image_and_a_column_a_frame(run, here):
    """Each tile is a white line and an image, and a last line closes the picture."""
    run(*SAMPLE, "--n", "2", "--show", "paths", "--frames", "5", "--output", "p.png")
    (width, height), _ = opened(here / "p.png")
    tile = (width - 2) / 5
    assert tile == (height - 2) / 2
    assert (tile - 2) % 8 == 0
    run(*SAMPLE, "--n", "4", "--frames", "5", "--output", "p.gif")
    assert opened(here / "p.gif")[1] == 5
    words = ["image", "translate", "--flow", "between", "--data", "digits", "--class", "1", *EULER]
    run(*words, "--frames", "3", "--output", "t.gif")
    assert opened(here / "t.gif")[1] == 3


def opened(path):
    """Size and number of frames of a picture."""
    with Image.open(path) as picture:
        return picture.size, getattr(picture, "n_frames", 1)


def test_what_images_cost_is_said(run, here):
    for words, calls in (([*SAMPLE, "--solver", "midpoint"], 8), (["image", "sample", "--flow",
                                                                    "leap"], 1)):  # fmt: skip
        _, out, _ = run(*words, "--n", "3", "--force", "--output", "s.png")
        assert f"3 images; evaluations of the velocity for each: {calls}\n" in out


def test_edm_is_trained_sampled_and_scored(run, here):
    sampler = ["--solver", "edm-heun", "--n-steps", "3", "--rho", "30"]
    assert run(*TRAIN, "--method", "aot", "--n-steps", "2", "--quiet")[0] == 0
    _, out, _ = run("image", "sample", "--flow", "new", "--n", "4", *sampler, "--output", "s.npz")
    assert "4 images; evaluations of the velocity for each: 5\n" in out
    run(*SCORE, "--flow", "new", "--n", "8", "--solver", "edm-heun:3:30", "--quiet")
    assert {row["by"] for row in read(here) if row["of"] == "generated"} == {"edm-heun:3:30"}
    flow = cf.Flow.load(here / "new")
    api = cf.images.sample(flow, 4, solver="edm-heun", n_steps=3, rho=30).images
    assert cf.images.read(here / "s.npz").fingerprint == api.fingerprint


def test_scores_of_files_and_of_flows_agree_with_the_api(run, here):
    run(*SCORE, "--samples", "made.npz", "--quiet")
    (row,) = [r for r in read(here) if r["of"] == "generated"]
    made = cf.images.read(here / "made.npz")
    scores = cf.images.score(made, digits(), test=digits("test"), space="pixels")
    assert row["frechet"] == pytest.approx(scores.scores[0].frechet)
    assert row["name"] == "made.npz"
    run(*SCORE, "--flow", "flow", "--n", "8", "--solver", "euler:1", "--force", "--quiet")
    expected = read_table(here / "scores.json")
    assert read(here)[0]["frechet"] == pytest.approx(expected["frechet"][0])
    assert read(here)[0]["nfe"] == 1


def read(folder):
    return json.loads((folder / "new.json").read_text())["rows"]


def test_scores_are_shown_with_their_number_of_images(run, here):
    _, out, _ = run(*SCORE, "--flow", "leap", "--n", "8")
    assert re.search(r"Frechet-8 .*average:1 +1 ", out)
    assert "test images" in out
    assert "FID" not in out


def test_a_class_is_scored_against_its_own_images(run, here):
    run(*SCORE, "--samples", "made.npz", "--class", "3", "--quiet")
    assert read(here)[0]["n_real"] == int((digits().labels == 3).sum())


def test_info_of_a_flow_of_images_says_what_it_makes(run, here):
    code, out, _ = run("info", "between")
    flat = " ".join(out.split())
    assert code == 0
    assert "digits/train/0 from digits/train/1; 8 x 8 pixels, grey" in flat
    assert "coupling ot, path straight, objective velocity" in flat


def test_quiet_says_nothing_and_verbose_is_no_mistake(run, here):
    for number, words in enumerate((TRAIN, [*SAMPLE, "--output", "s.png", "--n", "2"], SCORE)):
        extra = ["--samples", "made.npz"] if words is SCORE else []
        assert run(*words, *extra, "--quiet") == (0, "", ""), number
    assert run(*SAMPLE, "--output", "v.png", "--n", "2", "--verbose")[0] == 0


MISTAKES = {
    "no images": ([*TRAIN, "--data", "none"], "none does not exist; readable are: 'digits'"),
    "text for images": ([*TRAIN, "--data", "text.txt"], "text.txt has no known format"),
    "an empty folder": ([*TRAIN, "--data", "empty"], "empty has no known format"),
    "numbers for pixels": ([*TRAIN, "--data", "floats.npz"], "must be uint8"),
    "no labels": ([*TRAIN, "--data", "plain.npz", "--conditional"], "plain.npz has no labels"),
    "no such split": ([*TRAIN, "--data", "plain.npz", "--split", "test"], "test"),
    "large images": (
        ["image", "train", "--data", "large.npz", "--output", "new"],
        "images of 48 x 48 pixels have no default config",
    ),
    "source of another size": ([*TRAIN, "--source", "large.npz"], "read both at one size"),
    "unknown class": ([*TRAIN, "--class", "11"], "'11' (did you mean '1'?)"),
    "unknown class of the source": ([*TRAIN, "--source-class", "x"], "digits/train 'x'; valid: 0"),
    "classes from a source": ([*TRAIN, "--conditional", "--source-class", "1"], "from noise only"),
    "unknown config": ([*TRAIN, "--config", "cifar"], "unknown config 'cifar' (did you mean"),
    "no config": ([*TRAIN, "--config", "none.yaml"], "none.yaml does not exist"),
    "wrong config": ([*TRAIN, "--config", "wrong.yaml"], "unknown recipe setting 'steps'"),
    "unknown method": ([*TRAIN, "--method", "otcfm"], "'otcfm' is not one of"),
    "coupling without points": ([*TRAIN, "--coupling", "exact-full"], "the source is noise"),
    "bridge without noise": ([*TRAIN, "--path", "bridge"], "needs sigma over 0"),
    "no number for noise": ([*TRAIN, "--sigma", "nan"], "sigma=nan"),
    "edm between images": (
        [*TRAIN, "--method", "edm", "--source-class", "1"], "its source is standard normal noise",
    ),
    "a net that is not told": ([*TRAIN, "--augment", "0.1"], "requires a net that sees"),
    "augmented too often": ([*TRAIN, "--augment", "2"], "2.0 is not in the range"),
    "mirrored latents": ([*TRAIN[:4], "--output", "new", "--latents", "3", "--flips"], "flips out"),
    "too many latents": ([*TRAIN, "--latents", "99"], "at most 64 components, not 99"),
    "latents in a grid": ([*TRAIN, "--latents", "9"], "net 'unet' requires images, and latents"),
    "prior unasked": ([*TRAIN, "--prior", "flow"], "does not use a prior; acceleration does"),
    "fine-tuning an average": (
        ["image", "finetune", "--flow", "leap", "--data", "digits", "--output", "new"],
        "the prior has average",
    ),
    "no prior": ([*TRAIN, "--prior", "none"], "none does not exist"),
    "device": ([*TRAIN, "--device", "gpu9"], "device 'gpu9' is not available"),
    "resume from nothing": ([*TRAIN, "--resume"], "--resume needs --checkpoint FILE"),
    "another checkpoint": (
        [*TRAIN, "--checkpoint", "kept", "--resume"], "other settings (conditional)",
    ),
    "no checkpoint": (
        [*TRAIN, "--checkpoint", "text.txt", "--resume"], "cannot be read as a checkpoint",
    ),
    "checkpoint in the way": ([*TRAIN, "--checkpoint", "text.txt"], "text.txt exists already"),
    "checkpoint without a folder": ([*TRAIN, "--checkpoint", "no/c"], "no does not exist"),
    "pictures in a file": ([*TRAIN, "--pictures", "text.txt"], "text.txt' is a file"),
    "flow in the way": ([*TRAIN, "--output", "flow"], "flow exists already"),
    "no flow to overwrite": ([*TRAIN, "--output", "empty", "--force"], "empty is not a saved flow"),
    "processes": ([*TRAIN, "--processes", "0"], "0 is not in the range"),
    "picture in the way": ([*SAMPLE, "--output", "made.npz"], "made.npz exists already"),
    "no ending": ([*SAMPLE, "--output", "new"], "images are written as .png, .gif or .npz"),
    "wrong ending": ([*SAMPLE, "--output", "new.jpg"], "npz; name it new.png"),
    "no folder": ([*SAMPLE, "--output", "no/new.png"], "no does not exist"),
    "a film of numbers": (
        [*SAMPLE, "--show", "paths", "--output", "new.npz"], "makes a picture: name a .png or .gif",
    ),
    "paths of edm": (
        [*SAMPLE, "--solver", "edm-heun", "--show", "paths", "--output", "new.png"],
        "integrates from flow time 0 to 1",
    ),
    "class of a flow": ([*SAMPLE, "--class", "11", "--output", "new.png"], "did you mean '1'?"),
    "class of a flow without": (
        ["image", "sample", "--flow", "leap", "--class", "1", "--output", "new.png"],
        "trained without; train it with",
    ),
    "no such flow": (
        ["image", "sample", "--flow", "none", "--output", "new.png"], "none does not exist",
    ),
    "sample between images": (
        ["image", "sample", "--flow", "between", "--output", "new.png"], "use images.translate",
    ),
    "translate noise": (
        ["image", "translate", "--flow", "flow", "--data", "digits", "--output", "new.png"],
        "train with a source (--source)",
    ),
    "translate by edm": (
        ["image", "translate", "--flow", "between", "--data", "digits", "--class", "1",
         "--solver", "edm-heun", "--output", "new.png"],
        "for flows from standard normal noise",
    ),
    "translate others": (
        ["image", "translate", "--flow", "between", "--data", "large.npz", "--output", "new.png"],
        "large.npz has (1, 48, 48)",
    ),
    "nothing to score": (SCORE, "give either --samples FILE.npz or --flow FLOW"),
    "two to score": ([*SCORE, "--flow", "flow", "--samples", "made.npz"], "give either --samples"),
    "no samples": ([*SCORE, "--samples", "none.npz"], "none.npz does not exist"),
    "other samples": ([*SCORE, "--samples", "large.npz"], "images must have one shape"),
    "solver without steps": ([*SCORE, "--flow", "flow", "--solver", "euler"], "form euler:8"),
    "unknown solver": ([*SCORE, "--flow", "flow", "--solver", "eular:2"], "did you mean 'euler'?"),
    "space without weights": (
        [*SCORE, "--space", "inception", "--flow", "flow"], "needs a local weights file",
    ),
    "figure of another kind": (
        [*SCORE, "--flow", "flow", "--figure", "new.gif"], "written as .png, .pdf or .svg",
    ),
    "figure of samples": (
        [*SCORE, "--samples", "made.npz", "--figure", "new.png"],
        "these samples do not record",
    ),
    "figure of scores without cost": (
        ["image", "table", "sampled.json", "--output", "new.tsv", "--figure", "new.png"],
        "must be a table of images.score_flow",
    ),
    "no scores": (["image", "table", "text.txt", "--output", "new.tsv"], "cannot be read"),
    "table of another kind": (
        ["image", "table", "scores.json", "--output", "new.csv"], "name it new.tsv",
    ),
    "data in the way": (["image", "data", "digits", "--output", "made.npz"], "exists already"),
    "class of data": (["image", "data", "plain.npz", "--class", "1"], "plain.npz has no labels"),
    "flow of images for cells": (
        ["interpolate", "cells.h5ad", "--flow", "flow", "--time", "1", "--output", "new.h5ad"],
        "not fitted to an AnnData",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_exit_2_and_leave_nothing(mistake, run, here, course):
    if mistake == "flow of images for cells":
        course.write_h5ad(here / "cells.h5ad")
    before = contents(here)
    words, message = MISTAKES[mistake]
    code, _, err = run(*words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("cellflow: ")
    assert message in err
    assert contents(here) == before


def test_force_overwrites_what_would_be_refused(run, here):
    assert run(*TRAIN, "--output", "flow", "--force")[0] == 0
    assert run(*SAMPLE, "--output", "made.npz", "--force", "--n", "2")[0] == 0
    assert len(cf.images.read(here / "made.npz")) == 2


def test_a_failed_training_leaves_the_old_flow(run, here):
    before = contents(here)
    assert run(*TRAIN, "--output", "flow", "--force", "--class", "11")[0] == 2
    assert contents(here) == before


@pytest.mark.parametrize(
    "verb", [[], ["data"], ["train"], ["sample"], ["translate"], ["score"], ["table"], ["weights"]]
)
def test_help_is_no_mistake(verb, run):
    code, out, err = run("image", *verb, "--help")
    assert (code, err) == (0, "")
    assert "Usage" in out
