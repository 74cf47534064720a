"""Discriminators of digits, and samples that they guide."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow.couplings import MixtureCoupling
from cellflow.images import DISCRIMINATOR_RECIPE, DiscriminatorGuidance, ImageSet
from cellflow.images.guidance import discrimination
from cellflow.images.guidance._train_discriminator import _multipliers
from cellflow.images.space import ImageSpace
from cellflow.methods.recipes import Recipe
from tests.images.test_augment import EDM
from tests.small_images import digits, trained

SMALL = {
    "generated": 40,
    "by": "edm-heun:2",
    "n_steps": 2,
    "classifier_steps": 2,
    "batch_size": 16,
    "coupling_batch_size": 16,
    "channels": 4,
    "blocks": 1,
    "progress": False,
    "device": "cpu",
}
HEUN = {"solver": "edm-heun", "n_steps": 6}


def told(flow, data=None, **options):
    """A discriminator of a few steps."""
    data, options = digits() if data is None else data, {**SMALL, **options}
    numbers = {name: options.pop(name) for name in set(options) & set(Recipe.model_fields)}
    recipe = cf.recipe(DISCRIMINATOR_RECIPE, **numbers)
    return cf.images.train_discriminator(flow, data, recipe=recipe, **options)


def led(flow, n, discriminator, weight=None, boost=None, **options):
    """Samples with discriminator guidance."""
    guidance = DiscriminatorGuidance(discriminator, weight, boost)
    return cf.images.sample(flow, n, guidance=guidance, **{**HEUN, **options})


def swayed(discriminator):
    """With weights that say something."""
    generator = torch.Generator().manual_seed(0)
    for weights in discriminator.net.parameters():
        torch.nn.init.normal_(weights, std=0.3, generator=generator)
    return discriminator


@pytest.fixture(scope="module")
def flow():
    return trained(config=EDM, n_steps=3)


@pytest.fixture(scope="module")
def conditional():
    return trained(config=EDM, n_steps=3, conditional=True)


@pytest.fixture(scope="module")
def discriminator(flow):
    return swayed(told(flow))


@pytest.fixture(scope="module")
def of_classes(conditional):
    return swayed(told(conditional))


def grey(n=300, seed=0):
    """Images of noise in place of digits."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 1), dtype=np.uint8)
    return ImageSet(pixels, name="noise")


@pytest.mark.parametrize("pairing", ["independent", "aot"])
def test_digits_are_soon_told_from_noise(pairing, flow):
    """At all levels of noise together, of which the upper third tells nothing."""
    data = digits()[:300]
    options = {"generated": grey(), "pairing": pairing, "n_steps": 80}
    found = told(flow, data, **options, classifier_steps=30, batch_size=64, learning_rate=6e-3)
    assert max(found.history["accuracy"]) > 0.7
    assert min(found.history["check"]) < 0.6
    real, made = (
        torch.from_numpy(images.pixels).flatten(1).float() / 127.5 - 1
        for images in (digits()[300:500], grey(200, seed=1))
    )
    noise = 0.3 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((200,), 0.3)
    assert (found.log_ratio(sigma, real + noise) > 0).float().mean() > 0.9
    assert (found.log_ratio(sigma, made + noise) < 0).float().mean() > 0.9


@pytest.mark.slow
def test_a_learned_discriminator_leads_samples_towards_the_data(flow):
    """Data are images of the flow made darker; samples that are led get nearer to them."""
    made = cf.images.sample(flow, 800, solver="edm-heun", n_steps=18).images.pixels
    darker = ImageSet(np.clip(made[400:].astype(int) - 50, 0, 255).astype(np.uint8))
    options = {"batch_size": 64, "coupling_batch_size": 256, "channels": 16, "n_steps": 200}
    found = told(
        flow,
        darker,
        generated=ImageSet(made[:400]),
        learning_rate=2e-3,
        **options,
    )
    samples = [led(flow, 60, found, weight, n_steps=18).images for weight in (0, 2)]
    brightness = [float(each.pixels.mean()) for each in samples]
    assert brightness[0] - 2 > brightness[1] > darker.pixels.mean()
    distances = [
        cf.images.score(each, darker, space="pixels").scores[0].frechet for each in samples
    ]
    assert distances[1] < 0.95 * distances[0]


def test_the_classifier_learns_and_is_then_frozen(flow):
    """The head changes nothing of the classifier."""
    first = told(flow, classifier_steps=60, batch_size=64, channels=8)
    assert first.history["classifier_loss"][-1] < np.log(10)
    assert first.history["classifier_accuracy"][-1] > 0.13
    longer = told(flow, classifier_steps=60, batch_size=64, channels=8, n_steps=20)
    before, after = (each.net.classifier.state_dict() for each in (first, longer))
    assert all(torch.equal(before[name], after[name]) for name in before)
    heads = (each.net.head.state_dict()["last.weight"] for each in (first, longer))
    assert not torch.equal(*heads)


def test_without_labels_both_parts_are_trained_together(flow):
    data = ImageSet(digits().pixels, name="bare")
    short, longer = (told(flow, data, n_steps=n) for n in (1, 20))
    assert short.net.settings["n_classes"] == 0
    assert "classifier_loss" not in short.history
    before, after = (each.net.classifier.state_dict() for each in (short, longer))
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_same_seed_same_discriminator_and_samples(flow, discriminator):
    first, second, other = (told(flow, rng=seed) for seed in (3, 3, 4))
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert first.history == second.history
    made = [led(flow, 6, discriminator, 5, boost=True, rng=seed).images for seed in (1, 1, 2)]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint


def test_a_saved_discriminator_guides_as_before(flow, discriminator, tmp_path):
    discriminator.save(tmp_path / "told")
    again = cf.images.Discriminator.load(tmp_path / "told")
    made = [led(flow, 4, each, 9).images.fingerprint for each in (discriminator, again)]
    assert made[0] == made[1] != cf.images.sample(flow, 4, **HEUN).images.fingerprint


def test_it_keeps_how_it_was_made(flow, discriminator):
    settings = discriminator.settings
    assert settings["flow"] == flow.fingerprint
    assert settings["data"] == digits().fingerprint
    assert (settings["n_real"], settings["n_generated"]) == (1437, 40)
    assert settings["pairing"] == "aot"
    assert settings["recipe"]["weight_decay"] == 1e-7


def test_noise_is_paired_within_real_and_generated_images_of_each_class(conditional, monkeypatch):
    """And both kinds of a class come equally often, in proportion to the real ones."""
    seen = []

    class Seen(MixtureCoupling):
        def __init__(self, parts, weights):
            seen.append((parts, weights))
            super().__init__(parts, weights)

    monkeypatch.setattr(discrimination, "MixtureCoupling", Seen)
    told(conditional, generated=50)
    parts, weights = seen[2]  # after the two of the classifier
    assert len(parts) == 20
    for k in range(10):
        made, real = parts[2 * k : 2 * k + 2]
        assert weights[2 * k] == weights[2 * k + 1] == float((digits().labels == k).sum())
        for mark, part in ((0.0, made), (1.0, real)):
            pairs = part.sample(5, torch.Generator().manual_seed(0))
            assert (pairs.c1[:, 0] == mark).all()
            assert (pairs.c1[:, 1:].argmax(dim=1) == k).all()
        assert len(made.target) == 4  # one of five is kept from training


def test_assigned_noise_is_nearer_than_drawn_noise(flow):
    """And it is standard normal for real images alone."""
    real = ImageSpace.of(flow).population(digits(), flips=False)
    images = discrimination._with_marks(real, real)
    lengths = {}
    for pairing in discrimination.PAIRINGS:
        generator = torch.Generator().manual_seed(0)
        split = discrimination._Split.of(images, pairing, DISCRIMINATOR_RECIPE, generator)
        pairs = split.seen.sample(2000, generator)
        lengths[pairing] = float((pairs.x1 - pairs.x0).norm(dim=1).mean())
        real_noise = pairs.x0[pairs.c1[:, 0] == 1]
        assert float(real_noise.std()) == pytest.approx(1, abs=0.02)
        assert len(real_noise) == pytest.approx(1000, abs=100)
    assert lengths["aot"] < 0.95 * lengths["independent"]


def test_no_weight_changes_nothing_and_classes_take_half_of_the_weight(
    flow, conditional, discriminator, of_classes
):
    plain = cf.images.sample(flow, 4, **HEUN)
    none = led(flow, 4, discriminator, 0)
    assert none.images.fingerprint == plain.images.fingerprint
    assert (plain.by, none.by) == ("edm-heun:6", "edm-heun:6+dg:0")
    assert none.nfe == plain.nfe == 11
    assert led(flow, 2, discriminator).by == "edm-heun:6+dg:2"
    assert led(conditional, 2, of_classes).by == "edm-heun:6+dg:1+boost"
    made = led(conditional, 2, of_classes, (2, 0.5), boost=False)
    assert made.by == "edm-heun:6+dg:2:0.5"


def test_each_batch_has_its_own_classes(conditional, of_classes):
    """Without boosting, samples do not hang on how many are computed at once."""
    whole, parts = (
        led(conditional, 7, of_classes, 5, boost=False, batch_size=size).images.pixels
        for size in (7, 3)
    )
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_nets_of_other_kinds_are_guided_too():
    """A U-Net of flow matching on straight paths."""
    flow = trained(method="i-cfm")
    found = swayed(told(flow))
    plain = cf.images.sample(flow, 3, **HEUN).images
    assert plain.fingerprint != led(flow, 3, found, 9).images.fingerprint


def test_a_flow_with_a_discriminator_is_scored_by_the_solver_that_takes_one(flow, discriminator):
    options = {"guidance": DiscriminatorGuidance(discriminator), "progress": False}
    table = cf.images.score_flow(flow, digits(), 8, **options)
    assert list(table["by"]) == ["edm-heun:18+dg:2"]
    with pytest.raises(cf.InputError, match="requires solver 'edm-heun', got 'euler'"):
        cf.images.score_flow(flow, digits(), 8, by=("euler:2",), **options)


def test_too_few_images_are_refused_before_any_training(flow, monkeypatch):
    monkeypatch.setattr(discrimination, "Trainer", None)
    with pytest.raises(cf.InputError, match="two or more generated images"):
        cf.images.train_discriminator(flow, digits(), generated=1, progress=False)


def test_the_discriminator_of_another_flow_is_warned_of(discriminator):
    other = trained(config=EDM, n_steps=2, rng=5)
    with pytest.warns(cf.CellflowWarning, match="images of another flow"):
        led(other, 2, discriminator)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 32, 32), (1, 2, 4)),
        ((1, 28, 28), (1, 2, 4)),
        ((1, 8, 8), (1, 2)),
        ((3, 64, 64), (1, 2, 4, 8)),
        ((3, 128, 128), (1, 2, 4, 8)),
        ((1, 7, 7), (1,)),
        ((1, 12, 16), (1, 2)),
    ],
)
def test_grids_are_halved_down_to_eight(shape, expected):
    assert _multipliers(shape) == expected


MISTAKES = {
    "pairing": ({"pairing": "ot"}, "unknown pairing 'ot'.* valid: independent, aot"),
    "steps": ({"n_steps": 0}, "n_steps"),
    "classifier": ({"classifier_steps": 0}, "n_steps"),
    "batch": ({"batch_size": 0}, "batch_size"),
    "rate": ({"learning_rate": 0.0}, "learning_rate"),
    "channels": ({"channels": 6}, "channels must be a multiple of 4, got 6"),
    "solver": ({"by": "eular:2"}, "did you mean 'euler'"),
    "none made": ({"generated": 0}, "number of generated images must be positive, got 0"),
    "one made": ({"generated": 1}, "two or more generated images of each class"),
    "seed": ({"rng": -1}, "rng must be a non-negative integer"),
    "device": ({"device": "gpu9"}, "device 'gpu9' is not available"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused(mistake, flow):
    options, message = MISTAKES[mistake]
    with pytest.raises(cf.InputError, match=message):
        told(flow, **options)


def test_images_that_the_flow_does_not_make_are_refused(flow, conditional):
    large = ImageSet(np.zeros((9, 16, 16, 1), np.uint8), name="large")
    with pytest.raises(cf.InputError, match="data: this flow makes images of shape"):
        told(flow, large)
    with pytest.raises(cf.InputError, match="generated: this flow makes images of shape"):
        told(flow, generated=large)
    with pytest.raises(cf.InputError, match=r"generated: this flow has the classes 0, 1.*none"):
        told(conditional, generated=grey())
    with pytest.raises(cf.InputError, match="two or more generated images of each class"):
        told(conditional, generated=11)


def test_flows_that_cannot_be_guided_are_refused():
    between = trained(digits().of_class(0), source=digits().of_class(1))
    with pytest.raises(cf.InputError, match="not from noise"):
        told(between)
    with pytest.raises(cf.InputError, match="average velocity"):
        told(trained(method="mean-flow"))
    with pytest.raises(cf.InputError, match=r"requires path 'straight'.* has path 'vp'"):
        told(trained(method="vp"))
    encoder = cf.images.PCAEncoder.fit(digits(), 5)
    latent = trained(config=None, encoder=encoder, n_steps=2)
    with pytest.raises(cf.InputError, match="is in latents"):
        told(latent)


def test_guidance_that_cannot_be_is_refused(flow, conditional, discriminator):
    with pytest.raises(cf.InputError, match="requires solver 'edm-heun', got 'dopri5'"):
        led(flow, 2, discriminator, solver="dopri5", n_steps=None)
    with pytest.raises(cf.InputError, match=r"64 coordinates and 0 covariates.* 64 and 10"):
        led(conditional, 2, discriminator)
    for weight in (-1, float("nan"), float("inf")):
        with pytest.raises(cf.InputError, match="weights of the guidance must be at least 0"):
            DiscriminatorGuidance(discriminator, weight)
    with pytest.raises(cf.InputError, match="weight must be one number or two"):
        DiscriminatorGuidance(discriminator, (1, 2, 3))
    with pytest.raises(cf.InputError, match="average velocity"):
        led(trained(method="mean-flow"), 2, discriminator)
    hand_made = replace(discriminator, settings={})
    assert len(led(flow, 2, hand_made).images) == 2
