"""Complete columns of `obs` and their values from the file on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from cellflow._errors import InputError
from cellflow._quoting import quote, split_text, unquote

#: Values that are read of a column of plain numbers or text.
_MAX_ROWS = 100_000


def complete_column(context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Return the columns of `obs` that begin with what was typed."""
    return [name for name in _columns(context) if name.startswith(incomplete)]


def complete_embedding(
    context: click.Context, _option: click.Parameter, incomplete: str
) -> list[str]:
    """Return the keys of `obsm` that begin with what was typed."""
    return [key for key in _read(context, lambda file: file["obsm"]) if key.startswith(incomplete)]


def complete_cells(context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Return ways to go on with a selection: columns, or after `=` the values of the column."""
    condition = _split(incomplete, "&")[-1].lstrip()
    column, *values = _split(condition, "=", 1)
    if not values:
        before = incomplete[: len(incomplete) - len(condition)]
        names = [f"{quote(name)}=" for name in _columns(context)]
        return [before + name for name in names if name.startswith(condition)]
    typed = _split(values[0], ",")[-1].lstrip()
    before = incomplete[: len(incomplete) - len(typed)]
    found = _values(context, unquote(column))
    return [before + text for value in found if (text := _write(value, typed)).startswith(typed)]


def _write(value: str, typed: str) -> str:
    """Write a value as what was typed begins: shells cannot add quotes before it."""
    mark = typed[:1]
    if mark and mark in "'\"":
        return mark + value.replace(mark, mark * 2) + mark
    return value if typed else quote(value)


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    """Split text outside quotes, the last of which may be open."""
    for mark in ("", '"', "'"):
        try:
            parts = split_text(text + mark, separator, most)
        except InputError:
            continue
        return [*parts[:-1], parts[-1].removesuffix(mark) if mark else parts[-1]]
    return [text]


def _columns(context: click.Context) -> list[str]:
    return [str(name) for name in _read(context, lambda file: file["obs"].attrs["column-order"])]


def _values(context: click.Context, column: str) -> list[str]:
    def read(file: Any) -> list[str]:
        import numpy as np

        stored = file["obs"][column]
        values = stored["categories"][()] if "categories" in stored else stored[:_MAX_ROWS]
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        return list(dict.fromkeys(texts)) if "categories" in stored else list(np.unique(texts))

    return _read(context, read)


def _read(context: click.Context, read: Any) -> list[str]:
    """Read from the file that the command was given; nothing if it cannot be read."""
    # While the option that is completed has no value, click leaves arguments in `args`.
    given = [context.params.get("file"), *context.args]
    path = next((each for each in given if each is not None and Path(each).is_file()), None)
    if path is None:
        return []
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return list(read(file))
    except (OSError, KeyError, ValueError, AttributeError):
        return []
