"""Validate settings by pydantic, with InputError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError, model_validator

from cellflow._errors import InputError

Settings = TypeVar("Settings", bound=BaseModel)


class StrictSettings(BaseModel):
    """Settings in which True and False do not pass for the numbers 1 and 0."""

    @model_validator(mode="before")
    @classmethod
    def _reject_truth_values(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, Mapping) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and not _takes_bool(field.annotation):
                raise InputError(f"setting {name} must not be true or false, got {value!r}")
        return values


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or bool in get_args(annotation)


def validate_settings(model: type[Settings], values: Mapping[str, Any], what: str) -> Settings:
    """Validate values as settings; report the first that is wrong."""
    with report_first_error(what):
        return model.model_validate(dict(values))


@contextmanager
def report_first_error(what: str) -> Iterator[None]:
    """Raise `InputError` for the first setting that pydantic finds wrong."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        reason = first.get("ctx", {}).get("error")
        if isinstance(reason, InputError):
            raise reason from error
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{what} {name}={first['input']!r}: {first['msg']}") from error
