"""Errors for keywords that a function does not have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cellflow._checks import check_choice
from cellflow._errors import InputError

Given = ParamSpec("Given")
Result = TypeVar("Result")

#: Names that other packages have for the random generator, which is `rng` here.
_SEEDS = ("seed", "seeds", "random_state", "random_seed")


def check_keywords(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Raise `InputError` for a keyword that a function does not have, and name the one it has."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        for name, value in kwargs.items():
            if name in _SEEDS and name not in names and "rng" in names:
                raise InputError(
                    f"{function.__name__} has no parameter {name!r}: give the seed as rng={value!r}"
                )
            check_choice(name, names, f"parameter of {function.__name__}")
        return function(*args, **kwargs)

    return checked
