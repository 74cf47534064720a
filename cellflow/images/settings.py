"""Method and recipe of a training of images: packaged configs, and the arguments of `train`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.images.augment import N_LABELS, SHARE
from cellflow.images.data import ImageSet
from cellflow.images.space import ImageSpace
from cellflow.methods.config import Config, read_config
from cellflow.methods.method import Method, method_of
from cellflow.methods.parts import PATHS
from cellflow.methods.presets import PRESETS
from cellflow.methods.recipes import Recipe, recipe_of
from cellflow.methods.sizes import DenoiserSizes, NetSizes

#: Configs in the package, by name, and their purpose.
CONFIGS = {
    "digits": "images of up to 16 x 16 pixels, two minutes on one CPU core",
    "mnist": "images of up to 32 x 32 pixels, a small net, an hour on one CPU core",
    "cifar10-hour": "CIFAR-10 in about an hour on one GPU",
    "cifar10": "CIFAR-10 as published, 400,000 steps",
    "edm": "CIFAR-10 by EDM as published, 200 million images: days on eight GPUs",
    "aot": "the same with noise assigned to images, as published for AOT on EDM",
    "aot-digits": "images of up to 16 x 16 pixels by AOT on EDM, two minutes on one CPU core",
}


def config_of(config: str | Path | Config | None, shape: tuple[int, int, int]) -> Config:
    """Return a config by name, from a file, or, for None, by the size of the images.

    Parameters
    ----------
    config
        A name of `CONFIGS`, a YAML file, a `Config`, which is returned unchanged, or None.
    shape
        Channels, height and width of the images.

    Returns
    -------
    Method and recipe.

    Raises
    ------
    InputError
        For an unknown name, or, without a config, images larger than 32 x 32 pixels.
    """
    if isinstance(config, Config):
        return config
    if config is None:
        config = _choose_by_size(shape)
    if isinstance(config, Path) or config.endswith((".yaml", ".yml")):
        return read_config(config)
    check_choice(config, CONFIGS, "config")
    with resources.as_file(resources.files("cellflow.images") / "configs") as folder:
        return read_config(folder / f"{config}.yaml")


def config_for(
    data: ImageSet, config: str | Path | Config | None, *, in_latents: bool = False
) -> Config:
    """Return the config of a training; in latents without one, method and recipe for cells."""
    if config is None and in_latents:
        return Config(method_of("ot-cfm"), recipe_of("default"))
    return config_of(config, data.shape)


def method_for(config: Config, method: str | Method | None, **changes: Any) -> Method:
    """Return the config's method, or another one, with changes.

    A method by name has sigma 0, as published for images, except on bridges, which need noise.
    """
    if method is None:
        return method_of(config.method, **changes)
    if isinstance(method, str) and changes.get("sigma") is None:
        check_choice(method, PRESETS, "method")
        path = changes.get("path") or PRESETS[method].names[1]
        check_choice(path, PATHS, "path")
        changes["sigma"] = None if PATHS[path].has_score else 0.0
    return method_of(method, **changes)


def resolve_settings(
    space: ImageSpace,
    data: ImageSet,
    config: str | Path | Config | None,
    method: str | Method | None,
    recipe: str | Recipe | None = None,
    n_steps: int | None = None,
) -> tuple[Method, Recipe]:
    """Return the method and the recipe of a training, those of the config where not given."""
    chosen = config_for(data, config, in_latents=space.grid is None)
    resolved = method_for(chosen, method)
    steps = {} if n_steps is None else {"n_steps": n_steps}
    return resolved, _adapt(recipe_of(recipe or chosen.recipe, **steps), resolved, space)


def default_flips(
    space: ImageSpace, data: ImageSet, flips: bool | None, augment: float = 0.0
) -> bool:
    """Return whether images are mirrored; by default RGB images in pixels, not augmented."""
    if flips is None:
        plain = space.grid is not None and space.low_res is None and not augment
        return plain and data.shape[0] == 3
    return flips


def augmented_share(augment: float | None, net: NetSizes) -> float:
    """Return the share of the images that each change is applied to."""
    has_labels = isinstance(net, DenoiserSizes) and net.augment_dim == N_LABELS
    if augment is None:
        return SHARE if has_labels else 0.0
    if not 0 <= augment <= 1:
        raise InputError(f"augment must be a share from 0 to 1, got {augment}")
    if augment and not has_labels:
        raise InputError(
            f"augment={augment:g} requires a net that sees how images were changed, or it "
            f"generates such images: net 'edm' with augment_dim {N_LABELS}"
        )
    return augment


def _adapt(recipe: Recipe, method: Method, space: ImageSpace) -> Recipe:
    """Return the recipe with the settings that the method requires; check that the net fits."""
    if space.grid is None and recipe.net.takes == "grid":
        raise InputError(
            f"net {recipe.net.kind!r} requires images, and latents are rows of numbers: take a "
            "config or recipe with net 'mlp', or give neither"
        )
    if "average" in method.objective.roles:
        # Group normalisation has no forward derivatives of grids with their channels last.
        return recipe_of(recipe, channels_last=False)
    return recipe


def _choose_by_size(shape: tuple[int, int, int]) -> str:
    height, width = shape[1:]
    if max(height, width) <= 16:
        return "digits"
    if max(height, width) <= 32:
        return "mnist"
    raise InputError(
        f"images of {height} x {width} pixels have no default config: give a config with a net "
        "for them (a YAML file, --config), or read them at a smaller size (--size)"
    )
