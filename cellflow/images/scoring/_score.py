"""Score generated images against real ones in a feature space."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow.images.data import ImageSet
from cellflow.images.scoring.features import FeatureSpace, resolve_space
from cellflow.images.scoring.frechet import frechet_distance
from cellflow.images.scoring.kernel_distance import kernel_distance
from cellflow.images.scoring.precision_recall import precision_recall
from cellflow.images.scoring.scores import GENERATED, TEST, Score, Scores
from cellflow.images.scoring.statistics import Statistics, statistics_of
from cellflow.training import resolve_device

#: Neighbour that sets the radius of balls in precision and recall; more images are required.
_NEIGHBOUR = 3


def score(
    generated: ImageSet,
    real: ImageSet,
    *,
    test: ImageSet | None = None,
    space: str | FeatureSpace = "random-conv",
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    rng: RNG = 0,
    device: str = "auto",
    progress: bool = False,
) -> Scores:
    """Score generated images against real ones in a feature space.

    All distances depend on the space, and the Frechet distance, precision and recall on the number
    of images too; every number is reported with both, and only distances in the Inception space
    are called FID or KID. Test images show the scores of real images that were not trained on.

    Parameters
    ----------
    generated
        The images to score.
    real
        Real images, those trained on.
    test
        Real images that were not trained on; None scores the generated ones alone.
    space
        Name of a feature space, see `cellflow.images.scoring.features.space_of`, or your own.
    weights
        File with the weights of the spaces `resnet20-cifar` and `inception`.
    cache
        Folder that stores features of the real images for later calls; None stores nothing.
    rng
        Seed of the subsets of the kernel distance, and of the real images for precision and recall,
        or a NumPy generator to draw one from.
    device
        `auto`, `cpu`, `cuda`, ...
    progress
        Show progress bars on stderr.

    Returns
    -------
    The scores, with `.table()` as a DataFrame and `.to_dict()` for JSON.

    Raises
    ------
    InputError
        For images of different shapes, fewer than four in a set, or a space that does not fit.

    References
    ----------
    Frechet distance: Heusel et al. 2017. Kernel distance: Binkowski et al. 2018, 100 subsets of
    1,000 images, or of as many as the smaller set has. Precision and recall: Kynkaanniemi et al.
    2019, third neighbours.
    """
    _check(generated, real, test)
    chosen = resolve_space(space, weights)
    target = resolve_device(device)
    generator = torch_generator(resolve_seed(rng))
    reference = statistics_of(real, chosen, cache=cache, device=target, progress=progress)
    made = chosen(generated.pixels, target, progress=progress)
    scores = [_score(GENERATED, made, reference, generator)]
    if test is not None:
        others = statistics_of(test, chosen, cache=cache, device=target, progress=progress)
        n = min(len(generated), len(test))
        if n < len(generated):
            scores.append(_score(GENERATED, _subsample(made, n, generator), reference, generator))
        scores.append(_score(TEST, _subsample(others.features, n, generator), reference, generator))
    return Scores(chosen.name, chosen.fingerprint, chosen.defines_fid, len(real), tuple(scores))


def _score(of: str, features: Tensor, real: Statistics, generator: torch.Generator) -> Score:
    n = len(features)
    a, b = Statistics.of(features).moments, real.moments
    drawn = _subsample(real.features, n, generator)
    return Score(
        of=of,
        n=n,
        frechet=frechet_distance(a.mean, a.cov, b.mean, b.cov),
        kernel=kernel_distance(features, real.features, generator),
        support=precision_recall(drawn, features, _NEIGHBOUR),
        n_support=len(drawn),
    )


def _subsample(features: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` rows without replacement, or return all."""
    if n >= len(features):
        return features
    return features[torch.randperm(len(features), generator=generator)[:n].to(features.device)]


def _check(generated: ImageSet, real: ImageSet, test: ImageSet | None) -> None:
    sets = {"generated": generated, "real": real} | ({} if test is None else {"test": test})
    _check_shapes(sets.items())
    for role, images in sets.items():
        if len(images) <= _NEIGHBOUR:
            raise InputError(
                f"scores need {_NEIGHBOUR + 1} images or more of each set, "
                f"got {len(images)} {role} ones"
            )


def _check_shapes(sets: Iterable[tuple[str, ImageSet]]) -> None:
    shapes = {role: images.shape for role, images in sets}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{role} {shape}" for role, shape in shapes.items())
        raise InputError(f"images must have one shape (channels, height, width), got {found}")
