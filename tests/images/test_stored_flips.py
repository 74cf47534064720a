"""Mirrored images as points of their own, for couplings that look partners up by row."""

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError
from cellflow.images import PCAEncoder
from cellflow.images.pixels import to_points
from cellflow.images.space import space_for, training_settings
from cellflow.images.training_images import TrainingImages
from cellflow.methods.parts import COUPLINGS
from cellflow.training.context import Fit
from cellflow.training.time_course import course_coupling
from tests.small_images import TINY, digits, trained


def pairs_of(images, coupling, n=4000, *, stored=True, conditional=False, flips=True):
    """Pairs of noise and images."""
    space = space_for(images, None, None, conditional=conditional)
    marginals = TrainingImages(space, images, None, flips, 0.0, stored).marginals
    method = cf.method("ot-cfm", coupling=coupling, sigma=0.0)
    generator = torch.Generator().manual_seed(0)
    fit = Fit(marginals, method, TINY.recipe, torch.zeros(64), 1.0, generator)
    return course_coupling(fit).sample(n, generator)


def rows_of(x, images):
    """Which of the images each point is, exactly."""
    equal = (x[:, None] == to_points(images.pixels)).all(dim=2)
    assert equal.any(dim=1).all()
    return equal.int().argmax(dim=1)


def test_all_couplings_that_look_up_by_row_say_so():
    assert {name for name, part in COUPLINGS.items() if part.looks_up_rows} == {
        "semidiscrete", "exact-full", "blockwise", "low-rank", "wfr", "composition", "auto",
    }  # fmt: skip


def test_a_set_with_mirrors_has_each_image_twice_in_one_class():
    images = digits()[:7]
    both = images.with_mirrors()
    assert len(both) == 14
    np.testing.assert_array_equal(both.pixels[:7], images.pixels)
    np.testing.assert_array_equal(both.pixels[7:], images.pixels[:, :, ::-1])
    np.testing.assert_array_equal(both.labels, np.tile(images.labels, 2))
    assert both.classes == images.classes
    assert cf.images.ImageSet(images.pixels).with_mirrors().labels is None


def test_every_image_and_every_mirror_is_reached_equally_often():
    images = digits()[:20]
    pairs = pairs_of(images, "semidiscrete")
    hits = torch.bincount(rows_of(pairs.x1, images.with_mirrors()), minlength=40)
    # 100 are expected of each.
    assert hits.min() > 40
    assert hits.max() < 180


def test_without_flips_no_mirror_is_reached():
    images = digits()[:20]
    pairs = pairs_of(images, "semidiscrete", flips=False)
    assert rows_of(pairs.x1, images).unique().tolist() == list(range(20))


def test_a_mirror_has_the_class_of_its_image():
    images = digits()[:60]
    pairs = pairs_of(images, "semidiscrete", conditional=True)
    both = images.with_mirrors()
    partners = rows_of(pairs.x1, both)
    classes = torch.from_numpy(both.labels)[partners]
    assert torch.equal(pairs.c1.argmax(dim=1), classes)
    assert (partners >= 60).float().mean() == pytest.approx(0.5, abs=0.05)


def test_stored_mirrors_stay_bytes():
    space = space_for(digits(), None, None, conditional=False)
    population = space.population(digits(), flips=True, stored=True)
    assert len(population) == 2 * len(digits())
    assert population.stored.x.dtype == torch.uint8
    assert population.transform.flips is False


def test_a_source_of_images_is_mirrored_as_well():
    between = {"source": digits()[:30], "coupling": "exact-full", "data": digits()[30:60]}
    flows = [trained(**between, flips=flips) for flips in (False, True)]
    assert [training_settings(flow)["flips"] for flow in flows] == [False, True]
    assert flows[0].fingerprint != flows[1].fingerprint


def test_flips_change_a_training_by_potentials_and_the_flow_tells_of_them():
    plain, mirrored = (
        trained(digits()[:50], method="sd-fm", flips=flips) for flips in (False, True)
    )
    assert plain.fingerprint != mirrored.fingerprint
    assert [training_settings(each)["flips"] for each in (plain, mirrored)] == [False, True]


def test_latents_can_be_mirrored_where_mirrors_are_stored_and_fine_tuned_then():
    images = digits()[:40]
    options = {"encoder": PCAEncoder.fit(images, 3), "config": None, "n_steps": 2}
    flow = trained(images, method="sd-fm", flips=True, **options)
    assert training_settings(flow)["flips"] is True
    tuned = cf.images.finetune(flow, images, n_steps=1, progress=False)
    assert training_settings(tuned)["flips"] is True


@pytest.mark.parametrize("augment", [0.5, None])
def test_augmentation_is_refused_where_partners_are_looked_up(augment):
    recipe = cf.recipe(
        TINY.recipe,
        net={
            "kind": "edm", "augment_dim": 9, "channels": 8, "multipliers": (1, 1), "blocks": 1,
            "attention": (),
        },
    )  # fmt: skip
    with pytest.raises(InputError, match=r"'semidiscrete' couples images .* set augment 0"):
        trained(recipe=recipe, method="sd-fm", augment=augment)
    flow = trained(digits()[:30], recipe=recipe, method="sd-fm", augment=0, flips=True)
    assert (training_settings(flow)["augment"], training_settings(flow)["flips"]) == (0, True)
