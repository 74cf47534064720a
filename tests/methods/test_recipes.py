"""Recipes by name."""

import json

import pytest
import torch

from cellflow import InputError, recipe
from cellflow.evaluation.protocols import PROTOCOLS
from cellflow.methods.names import RECIPES, TIME_AXES
from cellflow.methods.recipes import Recipe
from cellflow.methods.sizes import DenoiserSizes, MLPSizes, UNetSizes
from cellflow.nets import NETS, Fields

GRIDS = {"unet": UNetSizes, "edm": DenoiserSizes}


def test_torchcfm_is_every_number_of_the_reference_runner():
    numbers = recipe("torchcfm").model_dump()
    expected = {
        "net": {
            "kind": "mlp", "width": 64, "depth": 3, "residual": False, "activation": "selu",
            "time_features": 0,
        },
        "patience": None, "warmup": 0, "ema_ramp": True, "ema_halflife": None, "precision": "fp32",
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
    for protocol in PROTOCOLS.values():
        assert {protocol.time_axis, protocol.flow_axis} <= set(TIME_AXES)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("torchcmf", {}, "unknown recipe 'torchcmf' .did you mean 'torchcfm'"),
        ("default", {"n_step": 3}, "unknown recipe setting 'n_step' .did you mean 'n_steps'"),
        ("default", {"n_steps": 0}, "n_steps=0: Input should be greater than 0"),
        ("default", {"net": {"activation": "tanh"}}, "net.activation='tanh'"),
        (
            "default",
            {"net": {"kind": "unet"}},
            "net 'unet' takes images as they are",
        ),
        ("default", {"train_fraction": 1.5}, "train_fraction=1.5"),
        ("default", {"patience": 3}, "patience=3 needs points to check on: set train_fraction"),
        ("default", {"ema_decay": 1.0}, "ema_decay=1.0: Input should be less than 1"),
        ("default", {"warmup": -1}, "warmup=-1"),
        ("default", {"accumulate": 0}, "accumulate=0"),
        ("default", {"ahead": -1}, "ahead=-1"),
        ("default", {"schedule": "linear"}, "schedule='linear'"),
        ("default", {"precision": "fp16"}, "precision='fp16'"),
        ("default", {"net": {"kind": "vit"}}, "net=.*'mlp', 'unet', 'edm'"),
        ("default", {"net": {"channels": 8}}, "net.channels=8"),
        (
            "default",
            {"standardise": False, "net": {"kind": "unet", "width": 8}},
            "net.width=8: not a size of net 'unet', only channels, multipliers",
        ),
        (
            "default",
            {"standardise": False, "net": {"kind": "unet", "dropout": 1.0}},
            "net.dropout=1.0",
        ),
        (
            "default",
            {"standardise": False, "net": {"kind": "unet", "multipliers": ()}},
            "net.multipliers=",
        ),
    ],
)
def test_bad_recipes_are_named(name, changes, message):
    with pytest.raises(InputError, match=message):
        recipe(name, **changes)


def test_sizes_of_one_kind_are_changed_one_by_one():
    first = recipe("default", net={"width": 8, "depth": 2})
    assert recipe(first, net={"depth": 4}).net == MLPSizes(width=8, depth=4)
    assert recipe(first, net={"kind": "mlp", "depth": 4}).net == MLPSizes(width=8, depth=4)
    assert recipe(first, net=MLPSizes(depth=4)).net == MLPSizes(depth=4)


@pytest.mark.parametrize("kind", sorted(GRIDS))
def test_another_kind_of_net_takes_its_own_defaults(kind):
    changed = recipe("torchcfm", net={"kind": kind, "channels": 32})
    assert changed.net == GRIDS[kind](channels=32)
    again = recipe(changed, net={"blocks": 1})
    assert again.net == GRIDS[kind](channels=32, blocks=1)
    assert recipe(again, net={"kind": "mlp"}).net == MLPSizes()


@pytest.mark.parametrize("kind", sorted(NETS))
def test_a_recipe_comes_back_from_json_as_it_was(kind):
    first = recipe("torchcfm", net={"kind": kind})
    again = Recipe.model_validate(json.loads(json.dumps(first.model_dump())))
    assert again == first
    assert type(again.net) is type(first.net)


@pytest.mark.parametrize("kind", sorted(NETS))
def test_the_sizes_of_each_kind_are_arguments_of_its_net(kind):
    small = {} if kind == "mlp" else {"channels": 4, "multipliers": (1,), "blocks": 1}
    net = recipe("torchcfm", net={"kind": kind, **small}).net
    assert "kind" not in net.numbers
    fields = Fields.make(("velocity",), (1, 2, 2), kind=net.kind, **net.numbers)
    settings = fields.settings["velocity"]
    for name, number in net.numbers.items():
        assert settings[name] == (list(number) if isinstance(number, tuple) else number)
    with torch.no_grad():
        assert fields.velocity(torch.zeros(3), torch.zeros(3, 4)).shape == (3, 4)


def test_defaults_of_a_kind_of_net_are_those_of_its_recipe():
    """A net made by hand and one made by a recipe that names its kind only are of one size."""
    for kind, sizes in GRIDS.items():
        net = NETS[kind]((1, 16, 16), channels=4, multipliers=(1, 1))
        settings = sizes(channels=4, multipliers=(1, 1)).numbers
        assert {name: net.settings[name] for name in settings} == {
            name: list(number) if isinstance(number, tuple) else number
            for name, number in settings.items()
        }
