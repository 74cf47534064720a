"""Recipes by name."""

import pytest

from cellflow import InputError, recipe
from cellflow.methods.names import RECIPES, TIME_AXES
from cellflow.methods.protocols import PROTOCOLS


def test_torchcfm_is_every_number_of_the_reference_runner():
    numbers = recipe("torchcfm").model_dump()
    expected = {
        "net": {
            "kind": "mlp", "width": 64, "depth": 3, "residual": False, "activation": "selu",
            "time_features": 0,
        },
        "patience": None, "warmup": 0, "ema_ramp": True, "precision": "fp32",
        "channels_last": False, "compile": False, "accumulate": 1, "ahead": 0, "threads": 1,
        "batch_size": 128, "coupling_batch_size": 128, "replace": True, "train_fraction": 0.8,
        "learning_rate": 1e-3, "schedule": "constant", "weight_decay": 1e-5, "ema_decay": 0,
        "standardise": False, "n_steps": 11_100, "clip": None,
    }  # fmt: skip
    assert numbers == expected


def test_paper_protocol_is_as_published():
    paper = PROTOCOLS["paper"]
    assert (paper.solver, paper.n_steps) == ("euler", 100)
    assert (paper.time_axis, paper.start) == ("index", "previous")
    assert paper.representation_sees_held_out
    assert not PROTOCOLS["strict"].representation_sees_held_out


def test_changes_leave_the_named_recipe_alone():
    assert recipe("default", n_steps=7).n_steps == 7
    assert recipe("default").n_steps != 7
    assert recipe(recipe("torchcfm"), net={"width": 8}).net.activation == "selu"


def test_every_name_has_what_it_names():
    assert all(recipe(name) for name in RECIPES)
    assert set(PROTOCOLS["strict"].time_axis.split()) <= set(TIME_AXES)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("torchcmf", {}, "unknown recipe 'torchcmf' .did you mean 'torchcfm'"),
        ("default", {"n_step": 3}, "unknown recipe setting 'n_step' .did you mean 'n_steps'"),
        ("default", {"n_steps": 0}, "n_steps=0: Input should be greater than 0"),
        ("default", {"net": {"activation": "tanh"}}, "net.mlp.activation='tanh'"),
        ("default", {"net": {"kind": "unet"}}, "standardise=True is of net 'mlp'"),
        ("default", {"train_fraction": 1.5}, "train_fraction=1.5"),
    ],
)
def test_bad_recipes_are_named(name, changes, message):
    with pytest.raises(InputError, match=message):
        recipe(name, **changes)
