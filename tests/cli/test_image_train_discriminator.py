"""Discriminator guidance on the command line."""

import shutil

import pytest

import cellflow as cf
from cellflow.images.samples import cost_of
from cellflow.images.scoring.scores import read_table
from tests.images.test_augment import EDM
from tests.small_images import digits, trained

TRAIN = [
    "image", "train-discriminator", "--flow", "flow", "--data", "digits", "--output", "new",
    "--n-generated", "20", "--solver", "edm-heun:2", "--n-steps", "2", "--classifier-steps", "2",
    "--batch-size", "16", "--coupling-batch-size", "16", "--channels", "4", "--blocks", "1",
]  # fmt: skip
MAKING = ("--n-generated", "20", "--solver", "edm-heun:2")
SAMPLE = ["image", "sample", "--flow", "flow", "--solver", "edm-heun", "--n-steps", "3", "--n", "3"]
LED = [*SAMPLE, "--discriminator", "told"]
WEIGHT = ["--discriminator-weight"]
SCORE = [
    "image", "score", "--data", "digits", "--space", "pixels", "--output", "new.json", "--quiet",
]  # fmt: skip
NUMBERS = {
    "recipe": cf.recipe(
        cf.images.DISCRIMINATOR_RECIPE, n_steps=2, batch_size=16, coupling_batch_size=16
    ),
    "classifier_steps": 2, "channels": 4, "blocks": 1, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    flow = trained(config=EDM, n_steps=2)
    flow.save(folder / "flow")
    trained(config=EDM, n_steps=2, conditional=True).save(folder / "classes")
    made = cf.images.sample(flow, 20, solver="edm-heun", n_steps=2)
    made.save(folder / "made.npz")
    told = cf.images.train_discriminator(flow, digits(), generated=made.images, **NUMBERS)
    told.save(folder / "told")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def here(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_discriminator_is_trained_as_by_the_api(run, here):
    code, out, err = run(*TRAIN, "--seed", "3", "--pairing", "independent")
    assert code == 0, err
    assert "% of held-out images, over all levels of noise" in out
    flow = cf.Flow.load(here / "flow")
    options = {**NUMBERS, "generated": 20, "by": "edm-heun:2", "pairing": "independent", "rng": 3}
    same = cf.images.train_discriminator(flow, digits(), **options)
    assert cf.images.Discriminator.load(here / "new").fingerprint == same.fingerprint
    words = [word for word in TRAIN if word not in MAKING]
    words += ["--generated", "made.npz", "--force", "--quiet"]
    assert run(*words) == (0, "", "")
    assert cf.images.Discriminator.load(here / "new").settings["n_generated"] == 20


def test_samples_and_scores_are_led_as_by_the_api(run, here):
    code, out, err = run(*LED, *WEIGHT, "3:0.5", "--boost", "--output", "s.npz")
    assert code == 0, err
    assert "3 images; evaluations of the velocity for each: 5\n" in out
    flow, told = cf.Flow.load(here / "flow"), cf.images.Discriminator.load(here / "told")
    guidance = cf.images.DiscriminatorGuidance(told, (3, 0.5), boost=True)
    same = cf.images.sample(flow, 3, solver="edm-heun", n_steps=3, guidance=guidance)
    assert cf.images.read(here / "s.npz").fingerprint == same.images.fingerprint
    assert cost_of(here / "s.npz")["by"] == "edm-heun:3+dg:3:0.5+boost"
    assert run(*LED, *WEIGHT, "3", "--output", "s.png")[0] == 0
    words = ["--flow", "flow", "--n", "8", "--solver", "edm-heun:3", "--discriminator", "told"]
    assert run(*SCORE, *words)[0] == 0
    table = read_table(here / "new.json")
    assert set(table["by"].dropna()) == {"edm-heun:3+dg:2"}


MISTAKES = {
    "no flow": ([*TRAIN, "--flow", "none"], "none does not exist"),
    "in the way": ([*TRAIN, "--output", "told"], "told exists already"),
    "a flow in the way": ([*TRAIN, "--output", "flow", "--force"], "the result would replace it"),
    "pairing": ([*TRAIN, "--pairing", "ot"], "'ot' is not one of"),
    "channels": ([*TRAIN, "--channels", "6"], "multiple of 4, got 6"),
    "both": ([*TRAIN, "--generated", "made.npz"], "either --generated"),
    "none": ([*LED, "--discriminator", "none", "--output", "n.png"], "none does not exist"),
    "empty": ([*LED, "--discriminator", "empty", "--output", "n.png"], "not a saved discriminator"),
    "a flow": ([*LED, "--discriminator", "flow", "--output", "n.png"], "not a saved discriminator"),
    "solver": (
        [*LED, "--solver", "euler", "--output", "n.png"], "solver 'edm-heun', got 'euler'",
    ),
    "film": ([*LED, "--output", "n.gif"], "edm-heun"),
    "interpolation": ([*LED, "--show", "interpolation", "--output", "n.png"], "not --show"),
    "no number": ([*LED, *WEIGHT, "much", "--output", "n.png"], "not of the form 2 or 2:0.5"),
    "three": ([*LED, *WEIGHT, "1:2:3", "--output", "n.png"], "not of the form 2 or 2:0.5"),
    "negative": ([*LED, *WEIGHT, "-1", "--output", "n.png"], "must be at least 0"),
    "nothing to weigh": ([*SAMPLE, *WEIGHT, "2", "--output", "n.png"], "need --discriminator"),
    "another flow": ([*LED, "--flow", "classes", "--output", "n.png"], "train it with this flow"),
    "files": (
        [*SCORE, "--samples", "made.npz", "--discriminator", "told"], "not with --samples",
    ),
    "score by euler": (
        [*SCORE, "--flow", "flow", "--solver", "euler:2", "--discriminator", "told"],
        "solver 'edm-heun', got 'euler'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(mistake, run, here):
    before = {path.name for path in here.rglob("*")}
    words, message = MISTAKES[mistake]
    code, _, err = run(*words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert message in err
    assert {path.name for path in here.rglob("*")} == before


@pytest.mark.parametrize("verb", ["train-discriminator", "sample", "score"])
def test_help_tells_of_it(verb, run):
    code, out, _ = run("image", verb, "--help")
    assert code == 0
    assert "discriminat" in out
