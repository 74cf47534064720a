"""Find the potentials of semidiscrete couplings before a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellflow._errors import InputError
from cellflow._random import RNG, resolve_seed
from cellflow.couplings import THRESHOLD
from cellflow.images.data import ImageSet
from cellflow.images.encoders import Encoder
from cellflow.images.potentials_report import (
    Found,
    check_report_target,
    check_semidiscrete,
    precompute,
    write_report,
)
from cellflow.images.settings import flips_for, settled
from cellflow.images.space import space_for
from cellflow.images.training_images import Course
from cellflow.methods.config import Config
from cellflow.methods.method import Method
from cellflow.training import resolve_device
from cellflow.training.potentials import ready

if TYPE_CHECKING:
    import pandas as pd


def couple(
    data: ImageSet,
    *,
    folder: str | Path,
    config: str | Path | Config | None = None,
    method: str | Method | None = "sd-fm",
    epsilon: float | None = None,
    cost_dim: int | None = None,
    semidiscrete_steps: int | None = None,
    conditional: bool = False,
    flips: bool | None = None,
    encoder: Encoder | None = None,
    rng: RNG = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Find the potentials that `train(potentials=folder)` then reads, and say how good they are.

    They hang on the images, the settings here and the config's units, so give `train` the same.
    What is in the folder already is read, not found again.

    Parameters
    ----------
    data
        Images to generate.
    folder
        Where the potentials go, a file for each class, and `report.json` and `report.tsv` with what
        is returned; made unless it is there.
    config, method
        As in `train`; the method must have coupling `semidiscrete`.
    epsilon
        Strength of the entropy, in squared units of the points; None takes the method's, which by
        default is none.
    cost_dim
        Principal components of the images, of each class apart, that costs are taken on; None takes
        the method's, by default all coordinates.
    semidiscrete_steps
        Steps of the ascent at most; None takes the method's, by default 20,000.
    conditional, flips, encoder
        As in `train`.
    rng
        Seed, or numpy generator to draw one from.
    device
        `auto` (a GPU where there is one), `cpu`, `cuda`, ...
    overwrite
        Find anew what is there, and replace the report.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    A row for each class, or one, named by `class`: `atoms`; `dims` that costs are taken on;
    `epsilon` in the units of <x, y>; `steps`; `reached`, the chi-squared that stopped them, and
    `chi_squared` against fresh noise, both to be below `threshold`; `entropy` of the hits and the
    share `never_hit`, of `points` of that noise, each beside what chance gives (`_by_chance`);
    `seconds`; and whether they are `new`. Potentials that missed the threshold are warned of.

    Raises
    ------
    InputError
        For settings that do not go together or with the images, or a folder that is a file.
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
    moves, numbers = settled(
        space,
        data,
        config,
        method,
        epsilon=epsilon,
        cost_dim=cost_dim,
        semidiscrete_steps=semidiscrete_steps,
        potentials=str(folder),
    )
    target = Path(folder)
    course = Course(space, data, None, flips_for(space, data, flips), 0.0, stored=True)
    cost_dim = check_semidiscrete(moves).cost_dim
    if cost_dim is not None and cost_dim > course.marginals.dim:
        raise InputError(
            f"cost_dim={cost_dim} is more than the {course.marginals.dim} dimensions of the points"
        )
    check_report_target(ready(target), overwrite=overwrite)
    found = precompute(
        course.marginals,
        method=moves,
        recipe=numbers,
        seed=resolve_seed(rng),
        device=resolve_device(device),
        anew=overwrite,
        progress=progress,
    )
    table = pd.DataFrame([_row(each, space.classes, data.name) for each in found])
    write_report(target, table, course.coupled_by(moves), overwrite=overwrite)
    return table


def _row(found: Found, classes: tuple[str, ...], name: str) -> dict[str, Any]:
    counted = found.census
    return {
        "class": name if found.label is None else classes[found.label],
        "atoms": found.n_atoms,
        "dims": found.dim,
        "epsilon": found.epsilon,
        "steps": found.n_steps,
        "reached": found.reached,
        "chi_squared": counted.chi_squared,
        "threshold": THRESHOLD,
        "entropy": counted.entropy,
        "entropy_by_chance": counted.entropy_by_chance,
        "never_hit": counted.never,
        "never_hit_by_chance": counted.never_by_chance,
        "points": counted.n,
        "seconds": round(found.seconds, 2),
        "new": found.new,
    }
