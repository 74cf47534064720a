"""Handwritten digits, and settings that train on them for a moment."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest

import cellflow as cf
from cellflow.images import ImageSet, Pictures
from cellflow.images.settings import config_for, method_for
from cellflow.methods.config import Config
from cellflow.methods.method import setting_names

TINY = Config(
    cf.method("ot-cfm", sigma=0.0),
    cf.recipe(
        "default",
        net={
            "kind": "unet",
            "channels": 8,
            "multipliers": (1, 2),
            "blocks": 1,
            "attention": (4,),
            "head_width": 8,
            "dropout": 0.0,
        },
        standardise=False,
        batch_size=8,
        coupling_batch_size=16,
        n_steps=3,
        learning_rate=0.01,
        ema_decay=0.0,
    ),
)

DEFAULTS: dict[str, Any] = {"config": TINY, "progress": False, "device": "cpu"}

#: The same as a file for `--config`.
TINY_YAML = TINY.to_yaml()


@cache
def digits(split: str = "train") -> ImageSet:
    """Those of scikit-learn."""
    return cf.images.read("digits", split=split)  # type: ignore[arg-type]


@cache
def shuffled_digits() -> ImageSet:
    """All of them, in an order that says nothing."""
    images = digits("all")
    return images[np.random.default_rng(0).permutation(len(images))]


def trained(data: ImageSet | None = None, **options: Any) -> cf.Flow:
    """A flow of a few steps."""
    data = digits() if data is None else data
    return cf.images.train(data, **{**DEFAULTS, **with_method(data, options)})


def with_method(data: ImageSet, options: dict[str, Any]) -> dict[str, Any]:
    """Options with the settings of the method among them as a method."""
    options = {**DEFAULTS, **options}
    parts = {"coupling", "path", "objective", "asynchrony", *setting_names()}
    changes = {name: options.pop(name) for name in set(options) & parts}
    if changes:
        config = config_for(data, options["config"], in_latents="encoder" in options)
        options["method"] = method_for(config, options.pop("method", None), **changes)
    return options


@contextmanager
def no_pictures(monkeypatch):
    """Where the first picture of a training cannot be written, which ends it."""

    def full(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("cellflow.images.training_images.write_png", full)
        with pytest.raises(OSError, match="no space left"):
            yield


def stopped(monkeypatch, tmp_path, step, **options):
    """A training that ends with an error after a step, with a checkpoint every two steps."""
    kept = {"checkpoint": cf.Checkpoint(tmp_path / "c", 2)}
    shown = {"pictures": Pictures(tmp_path / "pictures", step)}
    with no_pictures(monkeypatch):
        trained(**options, **kept, **shown, n_steps=6)
