"""Names of genes: the identifiers in `var_names`, and their symbols in a column of `var`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import pandas as pd

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow._log import log_info

#: Columns of `var` that hold symbols, in order of preference; compared in lower case without marks.
_SYMBOL_COLUMNS = (
    "featurename", "genesymbols", "genesymbol", "symbols", "symbol", "genenames", "genename",
    "geneshortname", "externalgenename", "associatedgenename", "hgncsymbol", "mgisymbol",
    "featurenames",
)  # fmt: skip
#: Columns that hold symbols if `var_names` are identifiers.
_OTHER_COLUMNS = ("names", "name", "genes", "gene", "features", "feature", "hgnc")

#: Identifiers of genes: Ensembl, FlyBase, WormBase, ZFIN, other databases, TAIR, SGD, numbers.
_IDENTIFIER = re.compile(
    r"ENS[A-Z]{0,6}G\d{6,}(\.\d+)?(_PAR_Y)?|FBgn\d{7}|WBGene\d{8}|ZDB-GENE-[\d-]+"
    r"|(MGI|HGNC|RGD|VGNC):\d+|AT[1-5CM]G\d{5}|Y[A-P][LR]\d{3}[CW](-[A-Z])?|\d+"
)
#: Name made of a symbol and an Ensembl identifier, in either order.
_COMBINED = re.compile(
    r"(?P<before>.+?)[_|:;, ]+ENS[A-Z]{0,6}G\d{6,}(\.\d+)?"
    r"|ENS[A-Z]{0,6}G\d{6,}(\.\d+)?[_|:;, ]+(?P<after>.+)"
)
#: Version of an Ensembl identifier.
_VERSION = re.compile(r"(ENS[A-Z]{0,6}G\d{6,})\.\d+")

#: Values of a column that are missing symbols.
_MISSING = {"", "nan", "none", "na", "n/a", "<na>", "-", "null"}

#: Share of `var_names` that must be identifiers, or may be symbols of the column, for a guess.
_MOST, _FEW = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class GeneNames:
    """Identifiers and symbols of genes, by both of which a gene is found.

    Attributes
    ----------
    ids
        Names in `var_names`, g.
    symbols
        Symbol of each gene, g; the identifier where there is no symbol.
    column
        Column of `var` with the symbols; None if they are read from `var_names`.
    columns
        Other columns of `var` with text, which could be named, for messages.
    whole
        Names of all genes of the data, if these are some of them.
    """

    ids: tuple[str, ...]
    symbols: tuple[str, ...]
    column: str | None
    columns: tuple[str, ...] = ()
    whole: GeneNames | None = None

    @classmethod
    def read(cls, var: pd.DataFrame, gene_symbols: str | None = None) -> GeneNames:
        """Read the names of genes.

        Parameters
        ----------
        var
            Annotation of the genes.
        gene_symbols
            Column with the symbols. None uses a column of a usual name (`feature_name`,
            `gene_symbols`, `gene_name`, ...) if `var_names` are other names, or the symbols in
            `var_names` such as `TP53_ENSG00000141510`, and reports it.

        Raises
        ------
        InputError
            If there is no such column, or it does not hold names.
        """
        ids = tuple(map(str, var.index))
        column = gene_symbols
        if column is None:
            column = _guess_column(var)
            if column is not None:
                log_info(f"gene symbols are read from var[{column!r}]")
        else:
            check_choice(column, list(map(str, var)), "var column of gene symbols")
        symbols = _split_names(ids) if column is None else _read_symbols(var, column)
        return cls(ids, symbols, column, _text_columns(var, without=column))

    def of(self, ids: Sequence[str]) -> GeneNames:
        """Return the names of some genes, in that order; unknown ones have no symbol."""
        known = dict(zip(self.ids, self.symbols, strict=True))
        symbols = tuple(known.get(name, name) for name in ids)
        return GeneNames(tuple(ids), symbols, self.column, self.columns, self)

    @cached_property
    def labels(self) -> np.ndarray:
        """Names to show, (g,): symbols; a symbol of several genes is followed by `_` and the id."""
        repeated = pd.Series(self.symbols).duplicated(keep=False).to_numpy(dtype=bool)
        return np.array(
            [
                f"{symbol}_{name}" if again and symbol != name else symbol
                for name, symbol, again in zip(self.ids, self.symbols, repeated, strict=True)
            ],
            dtype=object,
        )

    def add_ids(self, table: pd.DataFrame, columns: Sequence[str] = ("gene",)) -> pd.DataFrame:
        """Insert identifiers after columns with labels, as `gene_id`, if genes have symbols."""
        if self.has_symbols:
            ids = dict(zip(self.labels, self.ids, strict=True))
            for name in columns:
                place = list(table).index(name) + 1
                table.insert(place, f"{name}_id", table[name].map(ids))
        return table

    @property
    def has_symbols(self) -> bool:
        """Whether genes have symbols beside their names in `var_names`."""
        return self.column is not None or self.symbols != self.ids

    @property
    def source(self) -> str:
        """Source of the symbols, for messages: `var_names` or a column of `var`."""
        return "var_names" if self.column is None else f"var[{self.column!r}]"

    def find(self, name: str) -> list[int]:
        """Return the positions of a gene by its identifier, symbol or label; none if unknown.

        A symbol may belong to several genes. Versions of Ensembl identifiers are ignored if no
        identifier has the same.
        """
        for names in self._positions:
            if found := names.get(str(name)):
                return found
        return self._unversioned.get(_without_version(str(name)), [])

    def find_all(
        self, names: str | Iterable[str] | None, what: str = "the data", hint: str = ""
    ) -> np.ndarray:
        """Return the positions of genes, in their order and each once; all genes of a symbol.

        Parameters
        ----------
        names
            Identifiers, symbols or labels; None finds all genes.
        what
            Description of where genes are looked up, for messages.
        hint
            End of the message on unknown genes.

        Raises
        ------
        InputError
            If a gene is unknown, or no names were given.
        """
        if names is None:
            return np.arange(len(self.ids))
        names = [names] if isinstance(names, str) else list(names)
        if not names:
            raise InputError("no genes were given; None uses all")
        found = {str(name): self.find(name) for name in names}
        if missing := [name for name, positions in found.items() if not positions]:
            raise InputError(self.describe_missing(missing, what) + hint)
        return np.array(
            list(dict.fromkeys(position for each in found.values() for position in each)),
            dtype=np.intp,
        )

    def describe_missing(self, missing: Sequence[str], what: str) -> str:
        """Return a sentence on genes that were not found, and what would be."""
        if self.whole is not None and (here := [name for name in missing if self.whole.find(name)]):
            return (
                f"genes of the data that are not in {what}: {format_list(here)}; it has "
                f"{len(self.ids)} of {len(self.whole.ids)} genes: {format_list(self.labels)}"
            )
        near = [other for name in missing[:3] for other in self._near(name)]
        hint = f" (did you mean {format_list(dict.fromkeys(near))}?)" if near else ""
        return (
            f"genes that are not in {what}: {format_list(missing)}{hint}; it has: "
            f"{format_list(self.labels) or 'none'}{self.describe_symbols()}"
        )

    def describe_symbols(self) -> str:
        """Return a hint on symbols, if `var_names` are identifiers without any; else nothing."""
        if self.has_symbols or not _are_identifiers(self.ids):
            return ""
        if not self.columns:
            return ". var_names are identifiers, and var has no column with symbols; add one"
        return (
            ". var_names are identifiers; name the column of var with the symbols by gene_symbols= "
            f"(--gene-symbols), there are: {format_list(self.columns)}"
        )

    def _near(self, name: str) -> list[str]:
        """Return the name that is most like an unknown one."""
        folded = {label.casefold(): label for label in self.labels}
        near = get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.8)
        return [folded[each] for each in near]

    @cached_property
    def _positions(self) -> tuple[dict[str, list[int]], ...]:
        return tuple(map(_index, (self.ids, self.symbols, self.labels)))

    @cached_property
    def _unversioned(self) -> dict[str, list[int]]:
        return _index([_without_version(name) for name in self.ids])


def _index(names: Iterable[str]) -> dict[str, list[int]]:
    """Return the positions of each name."""
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(name, []).append(position)
    return found


def _without_version(name: str) -> str:
    """Return an Ensembl identifier without its version; other names as they are."""
    return _VERSION.sub(r"\1", name)


def _are_identifiers(names: Sequence[str]) -> bool:
    """Report whether most names are identifiers of a database, or numbers."""
    matched = sum(_IDENTIFIER.fullmatch(name) is not None for name in names)
    return matched > _MOST * len(names)


def _guess_column(var: pd.DataFrame) -> str | None:
    """Return the column that plainly holds symbols of genes whose `var_names` are others."""
    ids = [str(name) for name in var.index]
    identifiers = _are_identifiers(ids)
    plain: dict[str, str] = {}
    for column in var.columns:
        plain.setdefault(re.sub(r"[^a-z]", "", str(column).lower()), column)
    folded = np.array([name.casefold() for name in ids], dtype=object)
    for name in (*_SYMBOL_COLUMNS, *(_OTHER_COLUMNS if identifiers else ())):
        if name not in plain or not _is_text(var[plain[name]]):
            continue
        values = _to_text(var[plain[name]])
        there = [value for value in values if value]
        if len(there) <= _MOST * len(ids) or _are_identifiers(there):
            continue
        # Descriptions such as "marker of proliferation Ki-67" are not symbols.
        if sum(" " in value for value in there) > _FEW * len(there):
            continue
        same = np.array([value.casefold() for value in values], dtype=object) == folded
        if same.mean() <= (_MOST if identifiers else _FEW):
            return str(plain[name])
    return None


def _split_names(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the symbols of names that are made of symbol and identifier, else the names."""
    matches = [_COMBINED.fullmatch(name) for name in ids]
    symbols = [(match["before"] or match["after"]) if match else "" for match in matches]
    if sum(map(bool, symbols)) <= _MOST * len(ids):
        return ids
    log_info("gene symbols are read from var_names, which have symbol and identifier")
    return tuple(symbol or name for symbol, name in zip(symbols, ids, strict=True))


def _is_text(column: pd.Series) -> bool:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)


def _text_columns(var: pd.DataFrame, *, without: str | None) -> tuple[str, ...]:
    return tuple(str(name) for name, values in var.items() if name != without and _is_text(values))


def _to_text(column: pd.Series) -> list[str]:
    """Return the values of a column as text, empty where they are missing."""
    texts = [str(value).strip() for value in column.astype(object)]
    return ["" if text.casefold() in _MISSING else text for text in texts]


def _read_symbols(var: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Return the symbols in a column, and identifiers of genes without one."""
    values = var[column]
    texts = _to_text(values) if _is_text(values) else []
    if not any(texts) and len(var):
        raise InputError(
            f"var[{column!r}] does not hold gene symbols but {values.dtype} values; choose another "
            f"column: {format_list(_text_columns(var, without=column)) or 'there is no other'}"
        )
    return tuple(text or str(name) for name, text in zip(var.index, texts, strict=True))
