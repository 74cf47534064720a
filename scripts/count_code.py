"""Count what a reader of the package meets: python scripts/count_code.py [--calls].

Sizes of modules, classes, long parameter lists, comparisons with names of method parts, and
docstrings that do not begin with a verb. `--calls` also fits a small time course and counts the
functions and files of the package that `tl.fit`, `tl.holdout` and `tl.fates` enter, and how deep
the calls go. Counts are of the package that Python finds: set PYTHONPATH to count another checkout.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from inspect import CO_OPTIMIZED
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import cellflow

PACKAGE = Path(cellflow.__file__).parent

#: First words of a summary that is no imperative sentence.
_NOT_VERBS = re.compile(r"(What|How|Where|Those|Which|The same)\b")

#: Values that name a part of a method; a comparison with one is a special case of that part.
_PART_NAMES = {
    "auto", "acceleration", "blockwise", "bridge", "counts", "edm", "entropic", "exact-full",
    "growth", "independent", "low-rank", "mean-flow", "metric", "oat", "ot", "partial", "rates",
    "relative", "rising", "semidiscrete", "spline", "straight", "target", "unbalanced", "velocity",
    "velocity-score", "vp", "wfr",
}  # fmt: skip
_PART_ATTRIBUTES = {"coupling", "path", "objective", "growth", "name"}

_LONG = 12


def modules() -> dict[Path, ast.Module]:
    """Parse every module of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of named parameters, without `self` and `cls`."""
    listed = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return sum(each.arg not in ("self", "cls") for each in listed)


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class is decorated as a dataclass."""
    return any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def compares_part_name(node: ast.AST) -> bool:
    """Whether a node compares an attribute or entry of a method with the name of a part."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    attributes = {each.attr for each in sides if isinstance(each, ast.Attribute)}
    attributes |= {
        str(each.slice.value)
        for each in sides
        if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant)
    }
    values = {
        leaf.value
        for each in sides
        for leaf in ast.walk(each)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    }
    return bool(attributes & _PART_ATTRIBUTES) and bool(values & {*_PART_NAMES, "none"})


def counts() -> dict[str, float]:
    """Count what needs no running code."""
    trees = modules()
    lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in trees]
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    summaries = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
    return {
        "lines": sum(lines),
        "modules": len(lines),
        "median lines of a module": median(lines),
        "modules under 60 lines, without __init__": sum(
            n < 60 and file.name != "__init__.py" for file, n in zip(trees, lines, strict=True)
        ),
        "classes": len(classes),
        "dataclasses": sum(map(is_dataclass, classes)),
        "comparisons with part names": sum(map(compares_part_name, nodes)),
        "docstrings that begin with What, How, Where, Those": sum(
            bool(_NOT_VERBS.match(each)) for each in summaries
        ),
        f"functions with {_LONG} parameters or more": sum(
            n_parameters(function) >= _LONG
            for tree in trees.values()
            for function in functions(tree)
        ),
        "most parameters": max(
            n_parameters(function) for tree in trees.values() for function in functions(tree)
        ),
    }


class Calls:
    """Functions of the package that run inside the block, and the greatest depth of their calls."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        self.classes: set[str] = set()
        self.depth, self._here = 0, 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if not file.startswith(str(PACKAGE)) or event not in ("call", "return"):
            return
        self._here += 1 if event == "call" else -1
        self.depth = max(self.depth, self._here)
        name = frame.f_code.co_qualname
        # Comprehensions, lambdas and bodies of classes and modules are not functions to read.
        named = frame.f_code.co_flags & CO_OPTIMIZED and not frame.f_code.co_name.startswith("<")
        if event == "call" and named:
            self.functions.add((file, name))
            if isinstance(frame.f_locals.get("self"), object) and "self" in frame.f_locals:
                kind = type(frame.f_locals["self"])
                if kind.__module__.startswith("cellflow"):
                    self.classes.add(f"{kind.__module__}.{kind.__qualname__}")


def calls() -> dict[str, dict[str, int]]:
    """Count functions, files and classes that three verbs enter, on a small time course."""
    import cellflow as cf

    adata = cf.datasets.semrau2017()
    adata = adata[adata.X.getnnz(axis=1) > 0].copy()
    cf.pp.embed(adata, n_dims=5)
    recipe = cf.recipe("default", n_steps=10)
    flow = cf.tl.fit(adata, time_key="time", recipe=recipe, progress=False)
    adata.obs["state"] = [f"t{time:g}" for time in adata.obs["time"]]
    verbs: dict[str, Callable[[], object]] = {
        "fit": lambda: cf.tl.fit(adata, time_key="time", recipe=recipe, progress=False),
        "holdout": lambda: cf.tl.holdout(
            adata, time_key="time", recipe=recipe, times=[24.0], n_dims=5, progress=False
        ),
        "fates": lambda: cf.tl.fates(adata, flow, "state"),
    }
    found = {}
    for name, verb in verbs.items():
        with Calls() as entered:
            verb()
        found[name] = {
            "functions": len(entered.functions),
            "files": len({file for file, _ in entered.functions}),
            "classes": len(entered.classes),
            "depth": entered.depth,
        }
    return found


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", action="store_true", help="run three verbs and count calls")
    arguments = parser.parse_args()
    for name, value in counts().items():
        print(f"{name}: {value:g}")
    if arguments.calls:
        warnings.simplefilter("ignore")
        for verb, numbers in calls().items():
            print(f"{verb}: " + ", ".join(f"{n} {name}" for name, n in numbers.items()))


if __name__ == "__main__":
    main()
