"""Fine-tuning a flow of images."""

import numpy as np
import pytest

import cellflow as cf
from cellflow import InputError
from cellflow.images import ImageSet, PCAEncoder, Pictures
from cellflow.images.space import training_settings
from tests.images.test_augment import EDM
from tests.small_images import TINY, digits, no_pictures, trained

pytestmark = pytest.mark.usefixtures("few_points")


@pytest.fixture(scope="module")
def first():
    return trained(method="i-cfm", n_steps=12)


def tuned(flow, data=None, **options):
    data = digits() if data is None else data
    return cf.images.finetune(flow, data, **{"n_steps": 3, "progress": False, **options})


def test_a_flow_of_digits_is_fine_tuned_and_samples(first, tmp_path):
    flow = cf.images.finetune(first, digits(), progress=False)
    assert flow.recipe.n_steps == first.recipe.n_steps
    assert flow.recipe.learning_rate == first.recipe.learning_rate
    assert flow.recipe.net == first.recipe.net
    assert flow.inputs.prior == first.fingerprint != flow.fingerprint
    assert flow.method.path.sigma == 0
    assert set(flow.record.fine_tuning) == {"before", "after"}
    assert len(flow.history["ratio"]) == 1
    flow.save(tmp_path / "flow")
    again = cf.Flow.load(tmp_path / "flow")
    made = cf.images.sample(again, 5, solver="euler", n_steps=2)
    assert made.images.pixels.shape == (5, 8, 8, 1)
    cf.images.finetune(again, digits(), progress=False)


def test_classes_latents_and_mirrors_are_those_of_the_flow():
    flow = tuned(trained(conditional=True, flips=True))
    assert (flow.condition_dim, training_settings(flow)["flips"]) == (10, True)
    assert training_settings(flow)["conditional"] is True
    made = cf.images.sample(flow, 4, label="7", solver="euler", n_steps=2).images
    assert set(made.labels) == {7}
    encoder = PCAEncoder.fit(digits(), 5)
    latents = tuned(trained(config=None, encoder=encoder, n_steps=3))
    assert latents.dim == 5
    assert cf.images.sample(latents, 3, solver="euler", n_steps=2).images.shape == (1, 8, 8)


def test_flows_between_sets_take_their_source():
    ends = {"data": digits().of_class(0), "source": digits().of_class(1)}
    between = trained(**ends)
    flow = tuned(between, **ends)
    assert training_settings(flow)["source"] == ends["source"].fingerprint
    moved = cf.images.translate(flow, ends["source"][:4], solver="euler", n_steps=2)
    assert len(moved.images) == 4
    with pytest.raises(InputError, match=r"starts from images of digits/train/1; give them"):
        tuned(between, ends["data"])


@pytest.mark.parametrize("options", [{}, {"oat_copy_every": 2}, {"oat_target": "hermite"}])
def test_a_resumed_fine_tuning_ends_with_the_weights_of_one_that_was_not(
    first, options, tmp_path, monkeypatch
):
    options = {"method": cf.method("oat-fm", sigma=0, **options)}
    kept = {"checkpoint": cf.Checkpoint(tmp_path / "c", 2, resume=True), "n_steps": 6, **options}
    with no_pictures(monkeypatch):
        tuned(first, **kept, pictures=Pictures(tmp_path / "pictures", 5))
    resumed = tuned(first, **kept)
    whole = tuned(first, n_steps=6, **options)
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.history == whole.history


def test_training_with_the_method_and_a_prior_is_the_same(first):
    numbers = cf.recipe(TINY.recipe, n_steps=3)
    same = trained(method="oat-fm", prior=first, recipe=numbers)
    assert same.fingerprint == tuned(first).fingerprint


REFUSED = {
    "images of another size": (
        {"data": ImageSet(np.zeros((9, 6, 8, 1), np.uint8), name="small")},
        r"moves images of shape \(1, 8, 8\).*small has \(1, 6, 8\)",
    ),
    "a source for noise": ({"source": digits()}, "starts from noise; leave the source out"),
    "another net": ({"recipe": cf.recipe("torchcfm")}, "keeps the net of the prior"),
    "another objective": ({"method": "ot-cfm"}, "has objective 'oat', this method 'velocity'"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_does_not_go_together_is_refused_with_what_would(first, mistake):
    options, message = REFUSED[mistake]
    with pytest.raises(InputError, match=message):
        tuned(first, **options)


def test_other_classes_and_other_flows_are_refused(course, quick):
    with pytest.raises(InputError, match=r"has the classes 0, 1, .*plain has none"):
        tuned(trained(conditional=True), ImageSet(digits().pixels[:20], name="plain"))
    with pytest.raises(InputError, match="the prior has average"):
        tuned(trained(method="mean-flow"))
    cells = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    with pytest.raises(InputError, match="not trained on images"):
        tuned(cells)


def test_a_flow_that_was_augmented_is_fine_tuned_on_images_as_they_are():
    """Noise could not be told how the image was changed that it is to meet."""
    recipe = cf.recipe(EDM.recipe, n_steps=3, batch_size=8, coupling_batch_size=16)
    flow = trained(config=EDM, recipe=recipe)
    assert training_settings(flow)["augment"] == 0.12
    assert training_settings(tuned(flow))["augment"] == 0
    with pytest.raises(InputError, match=r"set augment 0, not 0\.12"):
        trained(config=EDM, recipe=recipe, method="oat-fm", prior=flow)
