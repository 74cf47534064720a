"""Validate settings by pydantic, with InputError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cellflow._errors import InputError

Settings = TypeVar("Settings", bound=BaseModel)


def validate_settings(model: type[Settings], values: Mapping[str, Any], what: str) -> Settings:
    """Validate values as settings; report the first that is wrong."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        reason = first.get("ctx", {}).get("error")
        if isinstance(reason, InputError):
            raise reason from error
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{what} {name}={first['input']!r}: {first['msg']}") from error
