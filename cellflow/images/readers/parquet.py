"""Parquet files of encoded images and labels, as data sets on Hugging Face have them.

The column of images is a struct with an entry `bytes`, or binary; names of the classes are in
the metadata of the schema (https://huggingface.co/docs/datasets).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cellflow._checks import check_memory, format_list
from cellflow._errors import FileError, InputError
from cellflow._files import parse_json
from cellflow.images.readers.image_files import decode_image, stack_images
from cellflow.images.readers.source import (
    ALL,
    TEST,
    TRAIN,
    Images,
    ImageSource,
    index_labels,
    reraise_as_unreadable,
)

#: Names of the column of labels, in order of preference.
_LABELS = ("label", "labels", "fine_label")
_BYTES = "bytes"
_ROWS = 1024

#: Bytes of a small image and its label in memory.
_ROW = 512


def recognises(path: Path) -> bool:
    """Return whether `path` is a parquet file, or a folder with those of splits."""
    return bool(_files(path))


def source(path: Path, size: int | None) -> ImageSource:
    """Find the images at `path`, scaled and cropped to `size` if given."""
    files = _files(path)
    schema = _schema(files)
    image, label = _image_column(path, schema), _label_column(schema)
    n_rows = {split: _count_rows(parts) for split, parts in files.items()}
    columns = {split: _labels(parts, label) for split, parts in files.items()} if label else {}
    columns, classes = index_labels(columns, path, _class_names(path, schema, label))

    def read(split: str) -> Images:
        images = _images(files[split], image, size)
        return stack_images(images, n_rows[split]), columns.get(split)

    return ImageSource(path.name, {split: partial(read, split) for split in files}, classes)


def _files(path: Path) -> dict[str, list[Path]]:
    if path.suffix == ".parquet" and path.is_file():
        return {ALL: [path]}
    found = {
        split: sorted(file for file in path.glob(f"{split}*.parquet") if file.is_file())
        for split in (TRAIN, TEST)
    }
    return {split: files for split, files in found.items() if files}


def _parquet(file: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{file} needs pyarrow to be read: pip install 'cellflow-snapshots[images]'"
        ) from error
    with reraise_as_unreadable(file):
        return parquet.ParquetFile(file)


def _schema(files: dict[str, list[Path]]) -> Any:
    """Return the schema of the first file, whose column names apply to all."""
    first = next(iter(files.values()))[0]
    with _parquet(first) as table:
        return table.schema_arrow


def _count_rows(files: list[Path]) -> int:
    """Return the number of rows; raise an error for none, and for more than memory has room for.

    Rows that repeat take no bytes in a file.
    """
    n_rows = 0
    for file in files:
        with _parquet(file) as table:
            n_rows += table.metadata.num_rows
    if not n_rows:
        raise FileError(f"{files[0]} has no rows")
    check_memory(_ROW * n_rows, f"{files[0]}, {n_rows:,} rows,", "read fewer files")
    return n_rows


def _image_column(path: Path, schema: Any) -> str:
    from pyarrow import types

    for field in schema:
        kind = field.type
        if types.is_struct(kind) and kind.get_field_index(_BYTES) >= 0:
            kind = kind.field(_BYTES).type
        if types.is_binary(kind) or types.is_large_binary(kind):
            return field.name
    raise InputError(f"{path} has no column of encoded images; it has {format_list(schema.names)}")


def _label_column(schema: Any) -> str | None:
    return next((name for name in _LABELS if name in schema.names), None)


def _class_names(path: Path, schema: Any, label: str | None) -> tuple[str, ...]:
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None or label is None:
        return ()
    with reraise_as_unreadable(path):
        feature = parse_json(text)["info"]["features"].get(label, {})
        return tuple(str(name) for name in feature.get("names", ()))


def _labels(files: list[Path], column: str) -> np.ndarray:
    parts = []
    for file in files:
        with _parquet(file) as table, reraise_as_unreadable(file):
            parts.append(np.array(table.read([column])[column].to_pylist()))
    return np.concatenate(parts)


def _images(files: list[Path], column: str, size: int | None) -> Iterator[tuple[str, np.ndarray]]:
    for file in files:
        for row, image in enumerate(_iter_encoded(file, column)):
            name = f"{file}, row {row}"
            if image is None:
                raise FileError(f"{name} has no image inside the file")
            yield name, decode_image(io.BytesIO(image), name, size)


def _iter_encoded(file: Path, column: str) -> Iterator[bytes | None]:
    with _parquet(file) as table, reraise_as_unreadable(file):
        for batch in table.iter_batches(_ROWS, columns=[column]):
            for value in batch.column(0).to_pylist():
                yield value[_BYTES] if isinstance(value, dict) else value
