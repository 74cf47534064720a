"""Training of a discriminator: classify noisy images, by class and as real or generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cellflow._batch import Batch, Pairs
from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow._random import draw_seed, torch_generator, uniform_like
from cellflow._typing import Condition, Points, Rows, Scalar
from cellflow._versions import versions
from cellflow.couplings import (
    Coupling,
    IndependentCoupling,
    MinibatchCoupling,
    MixtureCoupling,
    euclidean,
)
from cellflow.images.guidance.discriminator import Discriminator
from cellflow.images.guidance.noisy_classifier import RatioNet, vp_sigma
from cellflow.marginals import Gaussian, Population
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.training import Callback, EarlyStopping, ProgressBar, Trainer
from cellflow.training.devices import cpu_threads

#: Times of the variance-preserving process between which levels of noise are drawn.
_FIRST, _LAST = 1e-5, 1.0


def guidance_levels(like: Rows, generator: torch.Generator) -> Rows:
    """Draw levels of noise for a discriminator, one for each entry of `like`.

    The times tau have the density g^2 / sigma^2 of the variance-preserving process between 1e-5
    and 1, the importance sampling of Kim et al. (2023, arXiv 2211.17091). Its antiderivative is
    ln(exp(B) - 1), B the integral of beta up to tau, and this is the logarithm of the squared noise
    of EDM: ln sigma is uniform.
    """
    ends = vp_sigma(torch.tensor([_FIRST, _LAST], dtype=torch.float64)).log().tolist()
    return (ends[0] + (ends[1] - ends[0]) * uniform_like(like, generator)).exp()


def _noisy(pairs: Pairs, generator: torch.Generator) -> tuple[Rows, Points, Condition]:
    """Return levels of noise, noisy images and their conditions."""
    if pairs.c1 is None:
        raise TypeError("images are classified by columns of their condition, and have none")
    sigma = guidance_levels(pairs.t0, generator)
    return sigma, pairs.x1 + sigma[:, None] * pairs.x0, pairs.c1


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of the classes of noisy images, which are one-hot in the condition."""

    def loss(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the mean over a batch."""
        sigma, x, classes = _noisy(pairs, generator)
        return functional.cross_entropy(net.classes(sigma, x), classes)

    def accuracy(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the share of images that are classified correctly."""
        sigma, x, classes = _noisy(pairs, generator)
        predicted = net.classes(sigma, x).argmax(dim=1)
        return (predicted == classes.argmax(dim=1)).float().mean()


@dataclass(frozen=True)
class Discrimination:
    """Binary cross-entropy of real against generated images with noise.

    The first column of the condition is 1 for real images and 0 for generated ones, the others are
    covariates. At the minimum the net is the log-ratio of the densities of noisy images, or
    ln(D / (1 - D)) of the discriminator D (Kim et al. 2023, arXiv 2211.17091).
    """

    def loss(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the mean over a batch."""
        ratio, real = self._log_ratio(net, pairs, generator)
        return functional.binary_cross_entropy_with_logits(ratio, real)

    def accuracy(self, net: RatioNet, pairs: Pairs, generator: torch.Generator) -> Scalar:
        """Return the share of images that are classified correctly; log-ratio 0 counts half."""
        ratio, real = self._log_ratio(net, pairs, generator)
        return ((ratio.sign() * (2 * real - 1) + 1) / 2).mean()

    def _log_ratio(
        self, net: RatioNet, pairs: Pairs, generator: torch.Generator
    ) -> tuple[Rows, Rows]:
        """Return log-ratios, and 1 for real images."""
        sigma, x, known = _noisy(pairs, generator)
        covariates = known[:, 1:] if net.condition_dim else None
        return net(sigma, x, covariates), known[:, 0]


#: Couplings of noise and images: independent, or minibatch transport by distance, as in AOT.
PAIRINGS = ("independent", "aot")

#: Optimisation of the head (Kim et al. 2023, arXiv 2211.17091, their code), with fewer steps.
DISCRIMINATOR_RECIPE = recipe_of(
    "default",
    batch_size=128,
    coupling_batch_size=512,
    n_steps=2000,
    learning_rate=3e-4,
    weight_decay=1e-7,
    schedule="constant",
    ema_decay=0.0,
    threads=None,
)

#: Share of the images that are held out, and the pairs of these that accuracy is measured on.
_HELD_OUT, _CHECKED = 0.1, 1024


def fit_discriminator(
    real: Population,
    generated: Population,
    labelled: Population | None,
    *,
    sizes: Mapping[str, Any],
    pairing: str,
    recipe: Recipe,
    classifier_steps: int,
    seed: int,
    device: torch.device,
    progress: bool = False,
) -> Discriminator:
    """Train a classifier of noisy images, freeze it, and train a head on its features.

    Without labels both parts are trained together. A tenth of the images is held out; the weights
    of the lowest loss on them are returned.

    Parameters
    ----------
    real, generated
        Images; if the flow depends on classes, with labels and one-hot covariates.
    labelled
        The real images with one-hot classes as covariates, for the classifier; None without labels.
    sizes
        Arguments of `RatioNet`: `shape`, `channels`, `multipliers`, `blocks`.
    pairing
        One of `PAIRINGS`.
    recipe
        Optimisation of the head.
    classifier_steps
        Training steps of the classifier; otherwise it has the batches of `recipe`, learning rate
        0.001 and a cosine schedule, which is a choice of ours.
    seed
        Source of all randomness.
    device
        Device of the training.
    progress
        Show progress bars on stderr.

    Raises
    ------
    InputError
        For another pairing, or fewer than two images of a kind or a class.
    SolverError
        If a loss stops being a finite number.
    """
    check_choice(pairing, PAIRINGS, "pairing")
    classifier_recipe = recipe_of(
        recipe, n_steps=classifier_steps, learning_rate=1e-3, schedule="cosine"
    )
    images = _with_marks(real, generated)
    _groups(images)
    generator = torch_generator(seed, device)
    net = RatioNet(
        n_classes=_n_columns(labelled),
        condition_dim=_n_columns(real),
        **sizes,
        generator=torch_generator(seed),
    ).to(device)
    history: dict[str, list[float]] = {}
    with cpu_threads(recipe.threads):
        if labelled is not None:
            pairs = _Split.of(labelled, "independent", classifier_recipe, generator)
            first = pairs.fit(net, Classification(), generator, "classifier", progress=progress)
            history = {f"classifier_{name}": values for name, values in first.items()}
            net.classifier.requires_grad_(requires_grad=False)
        pairs = _Split.of(images, pairing, recipe, generator)
        history |= pairs.fit(net, Discrimination(), generator, "discriminator", progress=progress)
    settings = {
        "pairing": pairing,
        "recipe": recipe.model_dump(mode="json"),
        "classifier_recipe": classifier_recipe.model_dump(mode="json"),
        "n_real": len(real),
        "n_generated": len(generated),
        "seed": seed,
        "device": str(device),
        "versions": versions(),
    }
    return Discriminator(net.eval().requires_grad_(requires_grad=False), settings, history)


@dataclass(frozen=True)
class _Split:
    """Pairs of noise and images: those for training, and those of held-out images."""

    seen: Coupling
    unseen: Coupling
    recipe: Recipe

    @classmethod
    def of(
        cls, images: Population, pairing: str, recipe: Recipe, generator: torch.Generator
    ) -> _Split:
        """Couple noise N(0, 1) within each label, so that it does not depend on the label."""
        noise = Gaussian(torch.zeros((1, images.dim), device=generator.device))
        sides: tuple[list[Coupling], list[Coupling]] = ([], [])
        order = torch_generator(draw_seed(generator))
        groups, shares = _groups(images)
        for group in groups:
            rows = group[torch.randperm(len(group), generator=order)]
            n_unseen = max(1, round(_HELD_OUT * len(rows)))
            # Minibatch couplings depend on the batch size, so it is the same for both.
            size = min(recipe.coupling_batch_size, len(rows) - n_unseen)
            for side, part in zip(sides, (rows[n_unseen:], rows[:n_unseen]), strict=True):
                side.append(_coupling(pairing, noise, images[part], size))
        seen, unseen = (MixtureCoupling(side, shares) for side in sides)
        return cls(seen, unseen, recipe)

    def fit(
        self,
        net: RatioNet,
        objective: Classification | Discrimination,
        generator: torch.Generator,
        what: str,
        *,
        progress: bool,
    ) -> dict[str, list[float]]:
        """Train `net` in place, and return its history."""
        accuracy = _Accuracy(self.unseen, objective, generator)
        early_stopping = EarlyStopping(self.unseen, generator.device, self.recipe.patience)
        callbacks: list[Callback] = [early_stopping, accuracy]
        if progress:
            callbacks.append(ProgressBar(what, "images"))
        trainer = Trainer(net, self.seen, objective, self.recipe, generator, callbacks=callbacks)
        trainer.run()
        return trainer.history


class _Accuracy(Callback):
    """Record the accuracy on held-out pairs in the history."""

    def __init__(
        self,
        unseen: Coupling,
        objective: Classification | Discrimination,
        generator: torch.Generator,
    ) -> None:
        self.objective = objective
        self.seed = draw_seed(generator)
        self.pairs = unseen.sample(_CHECKED, torch_generator(self.seed, generator.device))

    @torch.no_grad()
    def after_reading(self, trainer: Trainer[RatioNet]) -> bool:
        """Take the accuracy, with the same noise each time."""
        generator = torch_generator(self.seed, self.pairs.x1.device)
        accuracy = self.objective.accuracy(trainer.current, self.pairs, generator)
        trainer.history.setdefault("accuracy", []).append(float(accuracy))
        return False


def _coupling(pairing: str, noise: Gaussian, images: Population, size: int) -> Coupling:
    if pairing == "independent":
        return IndependentCoupling(noise, images)
    return MinibatchCoupling(noise, images, batch_size=size, cost=euclidean)


def _n_columns(images: Population | None) -> int:
    condition = None if images is None else images.stored.condition
    return 0 if condition is None else condition.shape[1]


def _with_marks(real: Population, generated: Population) -> Population:
    """Join all images, with a first covariate that is 1 for real ones; labels are odd for these."""
    batches = []
    for mark, population in ((1, real), (0, generated)):
        stored = population.stored
        label = stored.x.new_zeros(len(stored), dtype=torch.int64)
        marks = label[:, None].float() + mark
        known = [] if stored.condition is None else [stored.condition]
        classes = label if stored.label is None else stored.label
        batches.append(
            Batch(stored.x, condition=torch.cat([marks, *known], dim=1), label=2 * classes + mark)
        )
    return Population(Batch.cat(batches), transform=real.transform)


def _groups(images: Population) -> tuple[list[Tensor], list[float]]:
    """Return the rows of each label, two or more, and its weight.

    With the labels of `_with_marks`, real and generated images of a class are drawn equally often,
    so that the log-ratio is 0 where they cannot be distinguished.
    """
    labels = images.label
    if labels is None:
        labels = torch.ones(len(images), dtype=torch.int64)
    present = sorted(set(labels.tolist()))
    groups = [torch.nonzero(labels == label)[:, 0] for label in present]
    # Labels of real images are odd, those of generated ones the even number before.
    both = images.label is None or all(label ^ 1 in present for label in present)
    if not both or min(map(len, groups)) < 2:
        raise InputError(
            "a discriminator needs two or more real and two or more generated images of each class"
        )
    return groups, [float((labels == label | 1).sum()) for label in present]
