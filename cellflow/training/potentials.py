"""Semidiscrete potentials of a fit, stored in a folder for fits that use the same ones."""

from __future__ import annotations

from pathlib import Path

import torch

from cellflow._errors import FileError, InputError
from cellflow._files import check_file_target, check_place
from cellflow._random import draw_seed, torch_generator
from cellflow.couplings import Potentials, fit_potentials, warn_unless_converged
from cellflow.couplings.atoms import fingerprint
from cellflow.marginals import Gaussian, Population
from cellflow.methods.parts import SemidiscreteSettings
from cellflow.training.context import Fit


def load_or_fit_potentials(
    fit: Fit,
    settings: SemidiscreteSettings,
    source: Population | Gaussian,
    target: Population,
    *,
    refit: bool = False,
) -> Potentials:
    """Return the potentials of the target's points: those of the folder, or else fitted now.

    With `refit`, potentials of the folder are not read, but replaced.

    Raises
    ------
    InputError
        If the folder is a file, or its potentials are those of other points.
    FileError
        If its potentials cannot be read, or it cannot be written to.
    """
    generator = fit.generator
    # Drawn in any case, so that later draws do not depend on whether potentials are read or fitted.
    seed = draw_seed(generator)
    path = None if settings.potentials is None else potentials_path(fit, settings, source, target)
    if path is not None and path.exists() and not refit:
        potentials = Potentials.load(path, generator.device)
        potentials.check_atoms(target, target.masses)
        warn_unless_converged(potentials, source)
        return potentials
    potentials = fit_potentials(
        source,
        target,
        generator=torch_generator(seed, generator.device),
        epsilon=_epsilon(fit, settings),
        cost_dim=settings.cost_dim,
        max_steps=settings.semidiscrete_steps,
        progress=fit.progress,
    )
    if path is not None:
        potentials.save(path, overwrite=True)
    return potentials


def potentials_path(
    fit: Fit, settings: SemidiscreteSettings, source: Population | Gaussian, target: Population
) -> Path:
    """Return the file of the potentials between two populations, named by all they depend on."""
    assert settings.potentials is not None
    folder, epsilon = Path(settings.potentials), _epsilon(fit, settings)
    parts = [
        _digest(source),
        _digest(target),
        "auto" if epsilon is None else f"{epsilon:.9g}",
        str(settings.semidiscrete_steps),
    ]
    if settings.cost_dim is not None:
        parts.append(f"pca{settings.cost_dim}")
    path = make_potentials_folder(folder) / f"{'-'.join(parts)}.safetensors"
    check_file_target(path, overwrite=True)
    return path


def make_potentials_folder(folder: Path) -> Path:
    """Make the folder unless it exists; raise `FileError` if it is not writable."""
    check_place(folder, "potentials")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"method setting potentials={str(folder)!r} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"cannot store potentials in {folder}: {reason}") from error
    return folder


def _epsilon(fit: Fit, settings: SemidiscreteSettings) -> float | None:
    # The potentials' unit is <x, y>, half a squared distance.
    return None if settings.epsilon is None else settings.epsilon * fit.cost_scale / 2


def _digest(side: Population | Gaussian) -> str:
    """Return a digest of a population or of noise."""
    if isinstance(side, Gaussian):
        return fingerprint(torch.cat([side.centre, side.centre.new_full((1, 1), side.scale)], 1))
    masses = "" if side.weights is None else fingerprint(side.masses[:, None])
    return fingerprint(side) + masses
