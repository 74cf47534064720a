"""Solvers of flows with their steps, as tables and commands name them."""

import pytest

from cellflow import InputError
from cellflow.images.samples import solver_name, solver_options


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ("euler:8", {"solver": "euler", "n_steps": 8}),
        ("rk4:1", {"solver": "rk4", "n_steps": 1}),
        ("dopri5", {"solver": "dopri5"}),
        ("edm-heun:14:90", {"solver": "edm-heun", "n_steps": 14, "rho": 90.0}),
    ],
)
def test_settings_are_solvers_with_their_steps(setting, options):
    assert solver_options(setting) == options
    assert solver_name(1, **options) == setting


@pytest.mark.parametrize(
    "setting", ["euler", "euler:", "euler:0", "euler:-1", "euler:x", "euler:1.5", "dopri5:8"]
)
def test_settings_of_another_form_are_refused(setting):
    with pytest.raises(InputError, match=f"solver '{setting}' is not of the form euler:8"):
        solver_options(setting)
