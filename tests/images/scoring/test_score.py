"""Scores of images: no number without its space and the number of images."""

import json

import numpy as np
import pytest
import torch

from cellflow import InputError
from cellflow._random import torch_generator
from cellflow.images.data import ImageSet
from cellflow.images.scoring._score import score
from cellflow.images.scoring.features import NetSpace, space_of
from cellflow.images.scoring.frechet import Moments, frechet_distance
from cellflow.images.scoring.kernel_distance import kernel_distance
from cellflow.images.scoring.precision_recall import precision_recall
from tests.small_images import shuffled_digits


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return shuffled_digits()


def test_every_number_is_that_of_its_metric(digits):
    """As many test images as generated ones, so that one column holds both."""
    made, real, test = digits[:100], digits[100:400], digits[400:500]
    found = score(made, real, test=test, space="pixels", rng=3)
    features = [space_of("pixels")(images.pixels, "cpu") for images in (made, real, test)]
    a, b, c = (Moments.of(points.numpy()) for points in features)
    first, second = found.scores
    assert first.frechet == pytest.approx(frechet_distance(a.mean, a.cov, b.mean, b.cov))
    assert second.frechet == pytest.approx(frechet_distance(c.mean, c.cov, b.mean, b.cov))
    generator = torch_generator(3)
    drawn = features[1][torch.randperm(300, generator=generator)[:100]]
    assert first.kernel == kernel_distance(features[0], features[1], generator)
    assert first.support == precision_recall(drawn, features[0])
    assert (first.n, first.n_support, second.n, found.n_real) == (100, 100, 100, 300)


def test_a_table_tells_the_space_and_how_many_images_each_number_is_of(digits):
    found = score(digits[:50], digits[50:300], test=digits[300:330])
    table = found.table()
    assert list(table.index) == ["generated", "test images"]
    assert set(table["space"]) == {"random conv"}
    assert set(table["n_real"]) == {250}
    measures = ("Frechet-{}", "kernel-{}", "kernel-{} std", "precision-{}", "recall-{}")
    for n, rows in ((50, ["generated"]), (30, ["generated", "test images"])):
        for measure in measures:
            column = table[measure.format(n)]
            assert list(column.dropna().index) == rows
    assert table.loc["generated", "Frechet-50"] == found.scores[0].frechet


def test_only_inception_defines_the_fid(digits):
    def names(defines_fid):
        pixels = space_of("pixels")
        space = NetSpace("a net", 64, "0", pixels.net, grey="kept", defines_fid=defines_fid)
        return set(score(digits[:20], digits[20:60], space=space).table().columns)

    assert {"Frechet-20", "kernel-20"} <= names(False)
    assert {"FID-20", "KID-20"} <= names(True)
    assert not any("FID" in name or "KID" in name for name in names(False))


def test_a_dictionary_is_json_with_all_that_numbers_hang_on(digits):
    found = score(digits[:40], digits[40:70], test=digits[70:100])
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["space"] == "random conv"
    assert said["fingerprint"] == space_of("random-conv").fingerprint
    assert said["n_real"] == 30
    assert said["n_support"] == {"generated-40": 30, "generated-30": 30, "test images-30": 30}
    assert said["kernel_subsets"]["test images-30"] == [100, 30]
    assert said["scores"]["test images"]["Frechet-30"] == found.scores[-1].frechet


def test_the_real_images_score_best_and_noise_worst(digits, rng):
    real, others = digits[:300], digits[300:450]
    noise = ImageSet(rng.integers(0, 256, others.pixels.shape, dtype=np.uint8))
    (bad, good) = score(noise, real, test=others).scores
    assert good.frechet < bad.frechet / 50
    assert good.kernel.mean < bad.kernel.mean / 50
    assert min(good.support) > 0.6 > 0.1 > max(bad.support)
    (same,) = score(real, real).scores
    assert same.frechet == pytest.approx(0, abs=1e-9)
    assert same.support == (1, 1)


def test_same_seed_same_scores_with_and_without_test_images_and_cache(digits, tmp_path):
    made, real, test = digits[:30], digits[30:200], digits[200:220]
    alone = score(made, real, rng=1)
    assert score(made, real, test=test, rng=1).scores[0] == alone.scores[0]
    for _ in range(2):
        assert score(made, real, rng=1, cache=tmp_path) == alone
    assert score(made, real, rng=2).scores[0].frechet == alone.scores[0].frechet
    assert score(made, real, rng=2) != alone


def test_images_that_do_not_compare_are_refused(digits, rng):
    other = ImageSet(rng.integers(0, 256, (20, 9, 8, 1), dtype=np.uint8))
    with pytest.raises(InputError, match=r"generated \(1, 9, 8\), real \(1, 8, 8\)"):
        score(other, digits)
    with pytest.raises(InputError, match=r"test \(1, 9, 8\)"):
        score(digits[:20], digits, test=other)
    with pytest.raises(InputError, match="4 images or more of each set, got 3 generated ones"):
        score(digits[:3], digits)
    with pytest.raises(InputError, match="weights are for feature spaces given by name"):
        score(digits[:9], digits, space=space_of("pixels"), weights="file")
    with pytest.raises(InputError, match="unknown feature space"):
        score(digits[:9], digits, space="vgg")
