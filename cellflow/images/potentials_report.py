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
from cellflow._csv import write_csv
from cellflow._errors import CellflowWarning, InputError
from cellflow._files import atomic_file, check_file_target, read_json
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
from cellflow.training.potentials import load_or_fit_potentials, potentials_path
from cellflow.training.splits import split_marginals
from cellflow.training.time_course import split_by_label

if TYPE_CHECKING:
    import pandas as pd


#: Points per atom that the mass balance is estimated from, and their least number.
_POINTS_PER_ATOM, _MIN_POINTS = 5, 4096


@dataclass(frozen=True)
class PotentialsReport:
    """Report on the fitted potentials of the points of one label.

    Attributes
    ----------
    label
        The label; None for points without labels.
    n_atoms, dim
        Number of its points, and of the coordinates that costs are taken on.
    epsilon
        Strength of the entropy, in the units of <x, y>.
    n_steps, reached
        Steps of the ascent, and the chi-squared that stopped it.
    balance
        Mass that the atoms receive from fresh noise.
    seconds
        Duration of the fit, or of reading the file.
    new
        Whether they were fitted now, and not read.
    """

    label: int | None
    n_atoms: int
    dim: int
    epsilon: float
    n_steps: int
    reached: float
    balance: MassBalance
    seconds: float
    new: bool


def report_potentials(
    marginals: Marginals,
    *,
    method: Method,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    overwrite: bool = False,
    progress: bool = False,
) -> list[PotentialsReport]:
    """Fit the potentials that `fit_flow` with this method and recipe reads from a folder.

    Parameters
    ----------
    marginals
        Noise and points.
    method
        Method with coupling `semidiscrete` and its setting `potentials`, the folder. Potentials
        that exist already are read.
    recipe
        Recipe of the training, which determines units and the share of the points to train on.
    seed
        Seed of the noise. File names do not depend on it; potentials do, in their last digits.
    device
        Device of the computation.
    overwrite
        Fit existing potentials again, and replace them.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    A report for each label, or for all points.

    Raises
    ------
    InputError
        For another coupling, no folder, or a source that is not noise.
    FileError
        If the folder cannot be read or written.
    """
    settings = check_semidiscrete(method)
    seen, _ = split_marginals(marginals, recipe.train_fraction, device)
    source, target = seen.populations
    if not isinstance(source, Gaussian) or not isinstance(target, Population):
        raise InputError("potentials are fitted before a training from noise only")
    scale = _length_scale(recipe, target)
    centre = torch.zeros(seen.dim, device=device)
    generator = torch_generator(seed, device)
    fit = Fit(seen, method, recipe, centre, scale, generator, scale**2, progress=progress)
    labelled = target.label is not None
    parts = split_by_label(target) if labelled else [(None, target, 1.0)]
    with cpu_threads(recipe.threads):
        return [_report(fit, settings, label, source, part, overwrite) for label, part, _ in parts]


def check_semidiscrete(method: Method) -> SemidiscreteSettings:
    """Return the settings of the coupling, which must be `semidiscrete` with a folder.

    Raises
    ------
    InputError
        With the coupling of the method.
    """
    settings = method.coupling
    if not isinstance(settings, SemidiscreteSettings) or settings.potentials is None:
        raise InputError(
            "potentials require coupling 'semidiscrete' and a folder; got coupling "
            f"{settings.name!r}, settings {settings.given}"
        )
    return settings


def _report(
    fit: Fit,
    settings: SemidiscreteSettings,
    label: int | None,
    source: Gaussian,
    target: Population,
    overwrite: bool,
) -> PotentialsReport:
    start = perf_counter()
    new = overwrite or not potentials_path(fit, settings, source, target).exists()
    potentials = load_or_fit_potentials(fit, settings, source, target, refit=overwrite)
    seconds = perf_counter() - start
    generator = torch_generator(draw_seed(fit.generator), fit.generator.device)
    n = max(_MIN_POINTS, _POINTS_PER_ATOM * len(target))
    n_atoms, dim = potentials.atoms.shape
    return PotentialsReport(
        label,
        n_atoms,
        dim,
        potentials.epsilon,
        potentials.n_steps,
        potentials.reached,
        mass_balance(potentials, source, n, generator),
        seconds,
        new,
    )


def _length_scale(recipe: Recipe, target: Population) -> float:
    """Unit of lengths, as the nets of a fit take it."""
    if not recipe.standardise:
        return 1.0
    return float(centre_and_scale(target.points)[1])


@dataclass(frozen=True)
class MassBalance:
    """Mass that the atoms receive from fresh noise, compared with what chance alone would give.

    Attributes
    ----------
    n
        Points drawn.
    chi_squared
        Unbiased chi-squared distance of the mass received from the masses; it can be negative.
    entropy
        Relative entropy of the hits, 1 if all atoms have the same number.
    never
        Share of the atoms with mass that no point was assigned to.
    entropy_by_chance, never_by_chance
        Both for as many points assigned at random, in proportion to the masses: of one such draw,
        and in expectation.
    """

    n: int
    chi_squared: float
    entropy: float
    never: float
    entropy_by_chance: float
    never_by_chance: float


def mass_balance(
    potentials: Potentials, source: Marginal, n: int, generator: torch.Generator
) -> MassBalance:
    """Assign `n` fresh points of the source to atoms, as in training, and count the hits.

    With h_j hits, chi-squared is sum_j h_j (h_j - 1) / (b_j n (n - 1)) - 1, unbiased with and
    without entropy.
    """
    if n < 2:
        raise InputError(f"a mass balance needs at least 2 points, got {n}")
    masses, heavy = potentials.masses, potentials.masses > 0
    hits = torch.zeros_like(masses)
    for x in sample_chunks(source, n, generator):
        hits += torch.bincount(potentials.draw(x, generator), minlength=len(hits))
    pairs = (hits * (hits - 1))[heavy].double() / masses[heavy]
    return MassBalance(
        n,
        float(pairs.sum()) / (n * (n - 1)) - 1,
        potentials.normalised_entropy(hits / n),
        float((hits[heavy] == 0).double().mean()),
        potentials.normalised_entropy(_by_chance(masses, n, generator) / n),
        float((1 - masses[heavy].double()).pow(n).mean()),
    )


def _by_chance(masses: Values, n: int, generator: torch.Generator) -> Values:
    """Count the hits of `n` points assigned to atoms at random, in proportion to their masses."""
    draws = torch.rand(n, generator=generator, device=masses.device, dtype=torch.float64)
    heavy = torch.nonzero(masses > 0)[:, 0]
    edges = masses[heavy].double().cumsum(0)
    there = search_cdf(edges / edges[-1], draws)
    return torch.zeros_like(masses).index_add_(0, heavy[there], masses.new_ones(n))


FORMAT = "cellflow-image-couplings"
#: Names of the files in the folder of the potentials.
JSON, TSV = "report.json", "report.tsv"


def check_report_target(folder: Path, *, overwrite: bool) -> None:
    """Raise `FileError` if the folder has a report already, unless `overwrite` is set."""
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
    write_csv(table, folder / TSV, separator="\t", overwrite=overwrite)


def warn_of_other_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Warn if the report is of potentials for other settings, which the training cannot read."""
    try:
        reported = dict(read_json(folder / JSON)["settings"])
    except (ValueError, KeyError, TypeError):
        return
    others = [name for name, value in settings.items() if reported.get(name) != value]
    if others:
        pairs = (f"{name} {reported.get(name)} there, {settings[name]} here" for name in others)
        warnings.warn(
            f"{folder / JSON} reports on potentials for other settings ({format_list(pairs)}); "
            "those of this training are read or fitted separately",
            CellflowWarning,
            stacklevel=3,
        )
