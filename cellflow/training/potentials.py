"""Potentials of a fit: read from the folder that keeps them, or found and kept there."""

from __future__ import annotations

from pathlib import Path

import torch

from cellflow._errors import FileError, InputError
from cellflow._files import check_file_target
from cellflow._random import draw_seed, torch_generator
from cellflow.couplings import Potentials, fit_potentials, warn_unless_converged
from cellflow.couplings.atoms import fingerprint
from cellflow.marginals import Gaussian, Population
from cellflow.methods.parts import SemidiscreteSettings
from cellflow.training.context import Fit


def potentials_for(
    fit: Fit,
    settings: SemidiscreteSettings,
    source: Population | Gaussian,
    target: Population,
    *,
    anew: bool = False,
) -> Potentials:
    """The potentials of the target's points, by the settings of the method.

    With `anew`, those that are kept are not read, but replaced.

    Raises
    ------
    InputError
        If the folder that keeps them is a file, or they were found for other points.
    FileError
        If what is kept cannot be read, or nothing can be written there.
    """
    generator = fit.generator
    # Drawn in any case, so that what follows is the same with kept potentials and with new ones.
    seed = draw_seed(generator)
    kept = None if settings.potentials is None else kept_file(fit, settings, source, target)
    if kept is not None and kept.exists() and not anew:
        potentials = Potentials.load(kept, generator.device)
        potentials.check_atoms(target, target.masses)
        warn_unless_converged(potentials, source)
        return potentials
    potentials = fit_potentials(
        source,
        target,
        generator=torch_generator(seed, generator.device),
        epsilon=_strength(fit, settings),
        cost_dim=settings.cost_dim,
        max_steps=settings.semidiscrete_steps,
        progress=fit.progress,
    )
    if kept is not None:
        potentials.save(kept, overwrite=True)
    return potentials


def kept_file(
    fit: Fit, settings: SemidiscreteSettings, source: Population | Gaussian, target: Population
) -> Path:
    """File of the potentials between two populations; its name tells all that decides them."""
    assert settings.potentials is not None
    folder, strength = Path(settings.potentials), _strength(fit, settings)
    parts = [
        _digest(source),
        _digest(target),
        "auto" if strength is None else f"{strength:.9g}",
        str(settings.semidiscrete_steps),
    ]
    if settings.cost_dim is not None:
        parts.append(f"pca{settings.cost_dim}")
    path = ready(folder) / f"{'-'.join(parts)}.safetensors"
    check_file_target(path, overwrite=True)
    return path


def ready(folder: Path) -> Path:
    """The folder, made unless it is there; refused where potentials cannot be written to it."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"method setting potentials={str(folder)!r} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"cannot keep potentials in {folder}: {reason}") from error
    return folder


def _strength(fit: Fit, settings: SemidiscreteSettings) -> float | None:
    # The potentials' unit is <x, y>, half a squared distance.
    return None if settings.epsilon is None else settings.epsilon * fit.cost_scale / 2


def _digest(side: Population | Gaussian) -> str:
    """What tells a population, or a noise, from others."""
    if isinstance(side, Gaussian):
        return fingerprint(torch.cat([side.centre, side.centre.new_full((1, 1), side.scale)], 1))
    masses = "" if side.weights is None else fingerprint(side.masses[:, None])
    return fingerprint(side) + masses
