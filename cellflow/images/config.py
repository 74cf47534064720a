"""Settings for images: files that come with the package, by name, or the user's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from cellflow._checks import check_choice
from cellflow._errors import InputError
from cellflow.methods.config import Config, read_config
from cellflow.methods.method import Method, method_of
from cellflow.methods.presets import PRESETS

#: The files that come with the package, and what they are for.
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
    """Find settings by name, from a file, or, for None, by the size of the images.

    Parameters
    ----------
    config
        A name of `CONFIGS`, a YAML file, a `Config`, which is returned as it is, or None.
    shape
        Channels, height and width of the images.

    Returns
    -------
    Method and recipe.

    Raises
    ------
    InputError
        For an unknown name, or images too large to choose for.
    """
    if isinstance(config, Config):
        return config
    if config is None:
        config = _by_size(shape)
    if isinstance(config, Path) or config.endswith((".yaml", ".yml")):
        return read_config(config)
    check_choice(config, CONFIGS, "config")
    with resources.as_file(resources.files("cellflow.images") / "configs") as folder:
        return read_config(folder / f"{config}.yaml")


def method_for(config: Config, method: str | Method | None, **changes: Any) -> Method:
    """The config's method with changes, or another one.

    A method by name takes no noise on its paths, as published for images, where they need none.
    """
    if method is None:
        return method_of(config.method, **changes)
    if isinstance(method, str) and changes.get("sigma") is None:
        check_choice(method, PRESETS, "method")
        path = changes.get("path") or PRESETS[method].settings.get("path", "straight")
        changes["sigma"] = None if path == "bridge" else 0.0
    return method_of(method, **changes)


def _by_size(shape: tuple[int, int, int]) -> str:
    height, width = shape[1:]
    if max(height, width) <= 16:
        return "digits"
    if max(height, width) <= 32:
        return "mnist"
    raise InputError(
        f"no settings are chosen for images of {height} x {width} pixels; "
        "give a config with a net for them (a YAML file), or read them at a smaller size"
    )
