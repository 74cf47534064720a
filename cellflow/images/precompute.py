"""Potentials of a fit from noise, found before it and counted out."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch

from cellflow._errors import InputError
from cellflow._random import drawn_seed, torch_generator
from cellflow.images.mass_balance import Census, census
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.methods.method import Method
from cellflow.methods.recipes import Recipe
from cellflow.nets import centre_and_scale
from cellflow.training.build import Build
from cellflow.training.devices import cpu_threads
from cellflow.training.fit import split
from cellflow.training.potentials import kept_file, potentials_for
from cellflow.training.time_course import labelled_parts

#: Fresh points an atom that hits are counted from, and their least number.
_AN_ATOM, _LEAST = 5, 4096


@dataclass(frozen=True)
class Found:
    """Potentials of the points of one label.

    Attributes
    ----------
    label
        The label; None where points have none.
    n_atoms, dim
        Its points, and the coordinates that costs are taken on.
    epsilon
        Strength of the entropy, in the units of <x, y>.
    n_steps, reached
        Steps of the ascent, and the chi-squared that stopped it.
    census
        What fresh noise gives to the atoms.
    seconds
        How long it took to find or to read them.
    new
        Whether they were found now, not read.
    """

    label: int | None
    n_atoms: int
    dim: int
    epsilon: float
    n_steps: int
    reached: float
    census: Census
    seconds: float
    new: bool


def precompute(
    marginals: Marginals,
    *,
    method: Method,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    anew: bool = False,
    progress: bool = False,
) -> list[Found]:
    """Find what `fit_flow` with this method and recipe reads from the folder of the method.

    Parameters
    ----------
    marginals
        Noise and points.
    method
        Of coupling `semidiscrete`, with the folder as `potentials`.
    recipe
        That of the fit: it decides units, and which share of the points is trained on.
    seed
        Of the generators of noise. Files do not depend on it, potentials by their last digits.
    device
        Where to compute.
    anew
        Find potentials that are kept already again, and replace them.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    Potentials for each label, or for all points.

    Raises
    ------
    InputError
        For another coupling, no folder, or a source that is no noise.
    FileError
        If nothing can be read or written there.
    """
    if method.coupling != "semidiscrete" or method.potentials is None:
        raise InputError(
            f"potentials are those of coupling 'semidiscrete', and go to a folder; got coupling "
            f"{method.coupling!r}, potentials={method.potentials!r}"
        )
    seen, _ = split(marginals, recipe.train_fraction, device)
    source, target = seen.populations
    if not isinstance(source, Gaussian) or not isinstance(target, Population):
        raise InputError("potentials are found before a fit from noise only")
    scale = _scale(recipe, target)
    centre = torch.zeros(seen.dim, device=device)
    generator = torch_generator(seed, device)
    build = Build(method, recipe, centre, scale, generator, scale**2, progress=progress)
    labelled = target.label is not None
    parts = labelled_parts(target) if labelled else [(None, target, 1.0)]
    with cpu_threads(recipe.threads):
        return [_found(build, label, source, part, anew=anew) for label, part, _ in parts]


def _found(
    build: Build, label: int | None, source: Gaussian, target: Population, *, anew: bool
) -> Found:
    start = perf_counter()
    new = anew or not kept_file(build, source, target).exists()
    potentials = potentials_for(build, source, target, anew=anew)
    seconds = perf_counter() - start
    fresh = torch_generator(drawn_seed(build.generator), build.generator.device)
    counted = census(potentials, source, max(_LEAST, _AN_ATOM * len(target)), fresh)
    n_atoms, dim = potentials.atoms.shape
    return Found(
        label,
        n_atoms,
        dim,
        potentials.epsilon,
        potentials.n_steps,
        potentials.reached,
        counted,
        seconds,
        new,
    )


def _scale(recipe: Recipe, target: Population) -> float:
    """Unit of lengths, as the nets of a fit take it."""
    if not recipe.standardise:
        return 1.0
    return float(centre_and_scale(target.points)[1])
