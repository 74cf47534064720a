"""Settings of held-out evaluation: each written once, and offered everywhere."""

import inspect

import pytest

import cellflow as cf
from cellflow import InputError
from cellflow.cli.app import app
from cellflow.evaluation.held_out import HeldOut, make_held_out

VERBS = {"holdout": cf.tl.holdout, "benchmark": cf.tl.benchmark}


@pytest.mark.parametrize("name", VERBS)
def test_verbs_and_commands_offer_every_setting(name):
    parameters = inspect.signature(VERBS[name]).parameters
    text = inspect.getdoc(VERBS[name])
    for setting, field in HeldOut.model_fields.items():
        assert parameters[setting].default == field.default
        assert setting in text
    assert "held_out" not in parameters
    command = app.get_command(None, name)
    given = command.make_context(name, ["a.h5ad", "--output", "o"]).params
    assert make_held_out({setting: given[setting] for setting in HeldOut.model_fields}) == HeldOut()


def test_one_value_stands_for_several():
    settings = make_held_out({"times": 3, "condition_keys": "drug"})
    assert settings.times == (3,)
    assert settings.condition_keys == ("drug",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_dim": 3}, r"unknown setting .* 'n_dim' \(did you mean 'n_dims'\?\)"),
        ({"n_dims": 0}, "n_dims=0"),
        ({"max_cells": 3}, "max_cells=3"),
        ({"protocol": "lax"}, "unknown protocol 'lax'; valid: strict, paper"),
        ({"kind": "rna"}, "unknown kind of expression 'rna'"),
        ({"time_axis": "log"}, "unknown time axis 'log'"),
    ],
)
def test_mistakes_name_the_setting_and_what_is_valid(values, message):
    with pytest.raises(InputError, match=message):
        make_held_out(values)
