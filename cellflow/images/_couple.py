"""Fit the potentials of semidiscrete couplings before a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed
from cellflow.couplings import THRESHOLD
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.potentials_report import (
    PotentialsReport,
    check_report_target,
    check_semidiscrete,
    report_potentials,
    write_report,
)
from cellflow.images.settings import default_flips, resolve_settings
from cellflow.images.space import space_for
from cellflow.images.training_images import TrainingImages
from cellflow.methods.config import Config
from cellflow.methods.method import Method, method_of
from cellflow.training import resolve_device
from cellflow.training.potentials import make_potentials_folder

if TYPE_CHECKING:
    import pandas as pd


def couple(
    data: ImageSet,
    *,
    folder: str | Path,
    config: str | Path | Config | None = None,
    method: str | Method = "sd-fm",
    conditional: bool = False,
    flips: bool | None = None,
    encoder: Encoder | None = None,
    rng: RNG = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Fit the potentials that a training with method setting `potentials=folder` reads.

    They depend on the images, the method and the config's units, so give `train` the same ones.
    Potentials that are in the folder already are read.

    Parameters
    ----------
    data
        Images to generate.
    folder
        Folder of the potentials, a file for each class, and of `report.json` and `report.tsv` with
        the table that is returned; made if missing.
    config
        As in `train`.
    method
        As in `train`, with coupling `semidiscrete`. Its `epsilon`, `cost_dim` and
        `semidiscrete_steps` decide the potentials.
    conditional, flips, encoder
        As in `train`.
    rng
        Seed, or a NumPy generator to draw one from.
    device
        `auto` (a GPU if there is one), `cpu`, `cuda`, ...
    overwrite
        Fit existing potentials again, and replace the report.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    A row for each class, or one, named by `class`: `atoms`; `dims` that costs are taken on;
    `epsilon` in the units of <x, y>; `steps`; `reached`, the chi-squared that stopped them, and
    `chi_squared` against fresh noise, both to be below `threshold`; `entropy` of the hits and the
    share `never_hit`, from `points` of that noise, each also for random assignment (suffix
    `_by_chance`);
    `seconds`; and whether they are `new`. Potentials that missed the threshold give a warning.

    Raises
    ------
    InputError
        For settings that are not compatible with each other or with the images, or a folder that
        is a file.
    FileError
        If the folder cannot be written to, or has a report while `overwrite` is off.

    References
    ----------
    Mousavi-Hosseini et al. 2025, arXiv 2509.25519.

    Examples
    --------
    >>> import tempfile
    >>> import cellflow as cf
    >>> fives = cf.images.read("digits", split="train").of_class(5)
    >>> table = cf.images.couple(fives, folder=tempfile.mkdtemp(), progress=False)
    >>> bool(table["chi_squared"][0] < 0.1)
    True
    """
    import pandas as pd

    space = space_for(data, None, encoder, conditional=conditional)
    chosen, recipe = resolve_settings(space, data, config, method)
    chosen = method_of(chosen, potentials=str(folder))
    target = Path(folder)
    images = TrainingImages(space, data, None, default_flips(space, data, flips), stored=True)
    dim, cost_dim = images.marginals.dim, check_semidiscrete(chosen).cost_dim
    if cost_dim is not None and cost_dim > dim:
        raise InputError(f"cost_dim={cost_dim} is more than the {dim} dimensions of the points")
    check_report_target(make_potentials_folder(target), overwrite=overwrite)
    reports = report_potentials(
        images.marginals,
        method=chosen,
        recipe=recipe,
        seed=resolve_seed(rng),
        device=resolve_device(device),
        overwrite=overwrite,
        progress=progress,
    )
    table = pd.DataFrame([_row(each, space.classes, data.name) for each in reports])
    write_report(target, table, images.potentials_settings(chosen), overwrite=overwrite)
    return table


def _row(report: PotentialsReport, classes: tuple[str, ...], name: str) -> dict[str, Any]:
    balance = report.balance
    return {
        "class": name if report.label is None else classes[report.label],
        "atoms": report.n_atoms,
        "dims": report.dim,
        "epsilon": report.epsilon,
        "steps": report.n_steps,
        "reached": report.reached,
        "chi_squared": balance.chi_squared,
        "threshold": THRESHOLD,
        "entropy": balance.entropy,
        "entropy_by_chance": balance.entropy_by_chance,
        "never_hit": balance.never,
        "never_hit_by_chance": balance.never_by_chance,
        "points": balance.n,
        "seconds": round(report.seconds, 2),
        "new": report.new,
    }
