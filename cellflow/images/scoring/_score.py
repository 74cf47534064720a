"""The verbs `images.score` and `images.translation_scores`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cellflow._checks import format_list
from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed, torch_generator
from cellflow.images.data import ImageSet
from cellflow.images.scoring.features import FeatureSpace, given_space
from cellflow.images.scoring.frechet import frechet_distance
from cellflow.images.scoring.kernel_distance import kernel_distance
from cellflow.images.scoring.precision_recall import precision_recall
from cellflow.images.scoring.scores import GENERATED, TEST, Score, Scores
from cellflow.images.scoring.statistics import Statistics, statistics_of
from cellflow.metrics import Cloud, mmd
from cellflow.training import resolve_device

#: Balls of precision and recall reach to this neighbour, so that more images are needed.
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
    """Hold generated images against real ones, in a feature space.

    All distances hang on the space, and the Frechet distance, precision and recall on the number
    of images too; every number comes with both, and only what is measured in the Inception space
    is called FID or KID. Test images show what real ones that were not trained on would score.

    Parameters
    ----------
    generated
        The images to score.
    real
        The images that they should resemble: those trained on.
    test
        Real images that were not trained on; None shows the generated ones alone.
    space
        Name of a feature space, see `space_of`, or one of your own.
    weights
        File with the weights of the spaces `resnet20-cifar` and `inception`.
    cache
        Folder that keeps features of the real images for later calls; None keeps none.
    rng
        Seed of what is drawn (subsets of the kernel distance, the real images that precision and
        recall see), or a numpy generator that one is drawn from.
    device
        `auto`, `cpu`, `cuda`, ...
    progress
        Show progress bars on stderr.

    Returns
    -------
    The scores, with `.table()` for reading and `.to_dict()` for files.

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
    chosen = given_space(space, weights)
    target = resolve_device(device)
    generator = torch_generator(resolve_seed(rng))
    known = statistics_of(real, chosen, cache=cache, device=target, progress=progress)
    made = chosen(generated.pixels, target, progress=progress)
    scores = [_score(GENERATED, made, known, generator)]
    if test is not None:
        others = statistics_of(test, chosen, cache=cache, device=target, progress=progress)
        n = min(len(generated), len(test))
        if n < len(generated):
            scores.append(_score(GENERATED, _drawn(made, n, generator), known, generator))
        scores.append(_score(TEST, _drawn(others.features, n, generator), known, generator))
    return Scores(chosen.name, chosen.fingerprint, chosen.defines_fid, len(real), tuple(scores))


def _score(of: str, features: Tensor, real: Statistics, generator: torch.Generator) -> Score:
    n = len(features)
    a, b = Statistics.of(features).moments, real.moments
    drawn = _drawn(real.features, n, generator)
    return Score(
        of=of,
        n=n,
        frechet=frechet_distance(a.mean, a.cov, b.mean, b.cov),
        kernel=kernel_distance(features, real.features, generator),
        support=precision_recall(drawn, features, _NEIGHBOUR),
        n_support=len(drawn),
    )


def _drawn(features: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """`n` rows drawn without replacement, or all."""
    if n >= len(features):
        return features
    return features[torch.randperm(len(features), generator=generator)[:n].to(features.device)]


@dataclass(frozen=True)
class TranslationScores:
    """Maximum mean discrepancies from the target, in thousandths.

    Attributes
    ----------
    mmd
        Of the translated points.
    identity
        Of the source as it is, which a translation should fall below.
    n_translated, n_source, n_target
        Numbers of points.
    """

    mmd: float
    identity: float
    n_translated: int
    n_source: int
    n_target: int


def translation_scores(
    translated: Tensor | np.ndarray, target: Tensor | np.ndarray, source: Tensor | np.ndarray
) -> TranslationScores:
    """How much nearer to the target population a translation is than the source.

    The MMD is that of `metrics.mmd`, with Gaussian kernels around the mean distance within the
    target, so that both numbers share their kernel. As in Tong et al. 2024, table 6, it is given
    in thousandths; kernels there are not published, so numbers do not compare across.

    Parameters
    ----------
    translated, target, source
        Points (n, d), such as latents, with numbers n of their own.

    Returns
    -------
    The two discrepancies, with the numbers of points.
    """
    clouds = [Cloud.of(_array(points)) for points in (translated, target, source)]
    dims = [cloud.points.shape[1] for cloud in clouds]
    if len(set(dims)) > 1:
        raise InputError(f"points must have one dimension, got {format_list(dims)}")
    made, real, before = clouds
    return TranslationScores(
        mmd=1e3 * mmd(made, real),
        identity=1e3 * mmd(before, real),
        n_translated=len(made),
        n_source=len(before),
        n_target=len(real),
    )


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
        said = ", ".join(f"{role} {shape}" for role, shape in shapes.items())
        raise InputError(f"images must have one shape (channels, height, width), got {said}")


def _array(points: Tensor | np.ndarray) -> np.ndarray:
    return points.detach().cpu().numpy() if isinstance(points, Tensor) else points
