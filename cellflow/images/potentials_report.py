"""Fit the potentials of a semidiscrete coupling before a training, and report on them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from cellflow._batch import Marginal
from cellflow._checks import format_list
from cellflow._errors import CellflowWarning, InputError
from cellflow._files import atomic_file, check_file_target
from cellflow._random import draw_seed, search_cdf, torch_generator
from cellflow.couplings.atoms import sample_chunks
from cellflow.couplings.dual_potentials import Potentials, Values
from cellflow.marginals import Gaussian, Marginals, Population
from cellflow.methods.method import Method
from cellflow.methods.parts import SemidiscreteSettings
from cellflow.methods.recipes import Recipe
from cellflow.nets import centre_and_scale
from cellflow.training.context import Fit
from cellflow.training.devices import cpu_threads
from cellflow.training.fit import split
from cellflow.training.potentials import kept_file, potentials_for
from cellflow.training.time_course import labelled_parts

if TYPE_CHECKING:
    import pandas as pd


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
    settings = check_semidiscrete(method)
    seen, _ = split(marginals, recipe.train_fraction, device)
    source, target = seen.populations
    if not isinstance(source, Gaussian) or not isinstance(target, Population):
        raise InputError("potentials are found before a fit from noise only")
    scale = _scale(recipe, target)
    centre = torch.zeros(seen.dim, device=device)
    generator = torch_generator(seed, device)
    fit = Fit(seen, method, recipe, centre, scale, generator, scale**2, progress=progress)
    labelled = target.label is not None
    parts = labelled_parts(target) if labelled else [(None, target, 1.0)]
    with cpu_threads(recipe.threads):
        return [_found(fit, settings, label, source, part, anew=anew) for label, part, _ in parts]


def check_semidiscrete(method: Method) -> SemidiscreteSettings:
    """Return the settings of coupling `semidiscrete`; refuse others, and one without a folder.

    Raises
    ------
    InputError
        With the coupling of the method.
    """
    settings = method.coupling
    if not isinstance(settings, SemidiscreteSettings) or settings.potentials is None:
        raise InputError(
            "potentials are those of coupling 'semidiscrete', and go to a folder; got coupling "
            f"{settings.name!r}, settings {settings.given}"
        )
    return settings


def _found(
    fit: Fit,
    settings: SemidiscreteSettings,
    label: int | None,
    source: Gaussian,
    target: Population,
    *,
    anew: bool,
) -> Found:
    start = perf_counter()
    new = anew or not kept_file(fit, settings, source, target).exists()
    potentials = potentials_for(fit, settings, source, target, anew=anew)
    seconds = perf_counter() - start
    fresh = torch_generator(draw_seed(fit.generator), fit.generator.device)
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


@dataclass(frozen=True)
class Census:
    """How evenly fresh points go to the atoms.

    Attributes
    ----------
    n
        Points drawn.
    chi_squared
        Unbiased chi-squared of what the atoms take from their masses; it can be negative.
    entropy
        Entropy of the hits, 1 where all atoms have the same number of them.
    never
        Share of the atoms with mass that no point went to.
    entropy_by_chance, never_by_chance
        The same two of as many points that go to atoms by their masses: one such draw, and what is
        expected.
    """

    n: int
    chi_squared: float
    entropy: float
    never: float
    entropy_by_chance: float
    never_by_chance: float


def census(potentials: Potentials, source: Marginal, n: int, generator: torch.Generator) -> Census:
    """Send `n` fresh points of the source to their atoms, as in training, and count.

    With h_j hits, chi-squared is sum_j h_j (h_j - 1) / (b_j n (n - 1)) - 1, unbiased with and
    without entropy.
    """
    if n < 2:
        raise InputError(f"a census needs at least 2 points, got {n}")
    masses, heavy = potentials.masses, potentials.masses > 0
    hits = torch.zeros_like(masses)
    for x in sample_chunks(source, n, generator):
        hits += torch.bincount(potentials.draw(x, generator), minlength=len(hits))
    pairs = (hits * (hits - 1))[heavy].double() / masses[heavy]
    return Census(
        n,
        float(pairs.sum()) / (n * (n - 1)) - 1,
        potentials.entropy_of(hits / n),
        float((hits[heavy] == 0).double().mean()),
        potentials.entropy_of(_by_chance(masses, n, generator) / n),
        float((1 - masses[heavy].double()).pow(n).mean()),
    )


def _by_chance(masses: Values, n: int, generator: torch.Generator) -> Values:
    """Hits of `n` points that go to atoms by their masses."""
    marks = torch.rand(n, generator=generator, device=masses.device, dtype=torch.float64)
    heavy = torch.nonzero(masses > 0)[:, 0]
    edges = masses[heavy].double().cumsum(0)
    there = search_cdf(edges / edges[-1], marks)
    return torch.zeros_like(masses).index_add_(0, heavy[there], masses.new_ones(n))


FORMAT = "cellflow-image-couplings"
#: Names of the files in the folder of the potentials.
JSON, TSV = "report.json", "report.tsv"


def check_report_target(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder whose report is in the way."""
    for name in (JSON, TSV):
        check_file_target(folder / name, overwrite=overwrite)


def write_report(
    folder: Path, table: pd.DataFrame, settings: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write the table, as JSON with the settings and as tab-separated values."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    document = {"format": FORMAT, "settings": dict(settings), "rows": rows}
    with atomic_file(folder / JSON, overwrite=overwrite) as staged:
        staged.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_file(folder / TSV, overwrite=overwrite) as staged:
        table.to_csv(staged, sep="\t", index=False)


def warn_of_others(folder: Path, settings: Mapping[str, Any]) -> None:
    """Warn where the report tells of potentials for other settings, which will not be read."""
    try:
        document = json.loads((folder / JSON).read_text(encoding="utf-8"))
        told = dict(document["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    others = [name for name, value in settings.items() if told.get(name) != value]
    if others:
        pairs = (f"{name} {told.get(name)} there, {settings[name]} here" for name in others)
        warnings.warn(
            f"the potentials that {folder / JSON} tells of are for other settings "
            f"({format_list(pairs)}); those for this training are read or found apart from them",
            CellflowWarning,
            stacklevel=3,
        )
