"""Small faults that change numbers: one change each of the syntax tree of a function.

Also the same functions with a mark at each statement, which tells what tests reach.

Texts, messages, annotations, default arguments and conditions that only raise are left alone.
"""

from __future__ import annotations
import __future__

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_PAIRS = [
    ("min", "max"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("floor", "ceil"),
    ("mean", "sum"),
    ("nanmean", "nansum"),
    ("any", "all"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
]
_SWAPPED = dict(_PAIRS) | {b: a for a, b in _PAIRS}
# Calls that are replaced by what they were given.
_REMOVED = {
    "abs",
    "absolute",
    "sqrt",
    "square",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "softmax",
    "softplus",
    "sigmoid",
    "tanh",
    "cos",
    "sin",
    "round",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "clamp_",
    "nan_to_num",
    "cumsum",
    "flip",
    "sort",
    "sorted",
    "reversed",
    "median",
    "std",
    "var",
    "rank",
    "T",
    "mT",
    "transpose",
    "unique",
    "normalize",
    "trunc",
    "sign",
    "norm",
}
#: Names in the globals of a marked function: a set of paths and lines, and the path.
REACHED, PATH = "__reached__", "__reached_path__"

_SILENT = {"logger", "_log", "warnings", "logging", "progress", "bar", "tqdm"}
_NOT_NUMBERS = {"strict", "copy", "inplace", "disable", "progress", "check", "validate"}
_RAISING = {"check", "require", "validate"}


@dataclass(frozen=True)
class Fault:
    """One changed place of a function or of a constant of the module.

    Equal changes of one function are told apart by a number, `#2` and on.
    """

    path: str
    function: str
    lines: range
    end: int
    change: str
    scope: ast.stmt

    @property
    def in_function(self) -> bool:
        """Whether a function is changed, not a constant of the module."""
        return isinstance(self.scope, ast.FunctionDef)

    @property
    def name(self) -> str:
        """The name, which stays the same when other lines change."""
        return f"{self.path}::{self.function}::{self.change}"

    def code(self) -> CodeType:
        """Compile the changed function or assignment."""
        return _compile(self.function, self.scope)


def last_line(code: CodeType) -> int:
    """Return the last line with code of a function, which tells functions of one name apart."""
    lines = [line for *_, line in code.co_lines() if line]
    inner = [last_line(const) for const in code.co_consts if isinstance(const, CodeType)]
    return max([*lines, *inner])


def _compile(function: str, scope: ast.stmt) -> CodeType:
    """Compile a function within classes of the names around it, without its decorators."""
    *classes, _ = function.split(".")
    body = scope = copy.deepcopy(scope)
    if isinstance(scope, ast.FunctionDef):
        scope.decorator_list = []
    for name in reversed(classes):
        body = ast.ClassDef(name, bases=[], keywords=[], body=[body], decorator_list=[])
    module = ast.fix_missing_locations(ast.Module([body], type_ignores=[]))
    code = compile(module, function, "exec", __future__.annotations.compiler_flag, True)
    for _ in [*classes, "function"] if isinstance(scope, ast.FunctionDef) else []:
        code = next(const for const in code.co_consts if isinstance(const, CodeType))
    return code


def faults(path: Path, root: Path) -> list[Fault]:
    """Return the faults of a file, in order of lines."""
    found: list[Fault] = []
    counts: Counter[tuple[str, str]] = Counter()
    for function, scope in _scopes(ast.parse(path.read_text(encoding="utf-8"))):
        end = last_line(_compile(function, scope))
        for place, (node, parents) in enumerate(_nodes(scope)):
            for variant in range(len(list(_changes(node)))):
                twin = copy.deepcopy(scope)
                twin_node, twin_parents = list(_nodes(twin))[place]
                list(_changes(twin_node))[variant]()
                level = _shown(node, parents)
                before, after = [*parents, node][level], [*twin_parents, twin_node][level]
                change = f"{_text(before)} -> {_text(after)}"
                counts[function, change] += 1
                number = counts[function, change]
                change += f" #{number}" if number > 1 else ""
                where = str(path.relative_to(root))
                found.append(Fault(where, function, _lines(node, parents), end, change, twin))
    return sorted(found, key=lambda fault: fault.lines.stop)


def marked(path: Path, root: Path) -> list[Fault]:
    """Return the functions that do something, with statements added to `REACHED`."""
    where, found = str(path.relative_to(root)), []
    for function, scope in _scopes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(scope, ast.FunctionDef) and not all(_is_text(step) for step in scope.body):
            end = last_line(_compile(function, scope))
            for node in ast.walk(scope):
                for field in ("body", "orelse", "finalbody"):
                    if isinstance(block := getattr(node, field, None), list):
                        setattr(node, field, [each for step in block for each in _mark(step)])
            found.append(Fault(where, function, range(0), end, "marked", scope))
    return found


def _mark(step: ast.stmt) -> list[ast.stmt]:
    if isinstance(step, ast.ExceptHandler | ast.Nonlocal | ast.Global):
        return [step]
    mark = ast.parse(f"{REACHED}.add(({PATH}, {step.lineno}))").body
    return [*mark, step]


def _scopes(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Yield outermost functions and constants of the module, but not types, with their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            if node.name not in {"__repr__", "_repr_html_", "__str__", "describe"}:
                yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _scopes(node, f"{prefix}{node.name}.")
        elif not prefix and isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            # A subscript makes a type, such as `Float[Tensor, "n d"]`.
            if not isinstance(node.value, ast.Subscript):
                yield ast.unparse(target), node


def _nodes(
    scope: ast.FunctionDef | ast.Assign | ast.AnnAssign,
) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Yield the nodes in which numbers are made, each with its parents, the nearest last."""
    starts = scope.body if isinstance(scope, ast.FunctionDef) else [scope.value]
    stack = [(node, [scope]) for node in reversed(starts)]
    while stack:
        node, parents = stack.pop()
        if _is_text(node):
            continue
        yield node, parents
        stack += [(child, [*parents, node]) for child in reversed(_children(node))]


def _is_text(node: ast.AST) -> bool:
    """Whether a node is a message, a check that only raises, or an annotation."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.If):
        return not node.orelse and all(isinstance(step, ast.Raise) for step in node.body)
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).split("(", maxsplit=1)[0].split(".")
        return not _SILENT.isdisjoint(called) or called[-1].split("_")[0] in _RAISING
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _is_text(node.value) or ast.unparse(node.value).startswith("super()")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _children(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.AnnAssign):
        return [node.value] if node.value else []
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return list(node.body)
    if isinstance(node, ast.Lambda):
        return [node.body]
    if isinstance(node, ast.Call):
        keywords = [keyword for keyword in node.keywords if keyword.arg not in _NOT_NUMBERS]
        return [node.func, *node.args, *keywords]
    return list(ast.iter_child_nodes(node))


def _lines(node: ast.expr | ast.stmt, parents: list[ast.AST]) -> range:
    """Return the lines of which one is run where the node is, from the start of its statement."""
    statements = [parent for parent in [*parents, node] if isinstance(parent, ast.stmt)]
    last = node.test if isinstance(node, ast.If) else node
    return range(statements[-1].lineno, last.end_lineno + 1)


def _shown(node: ast.AST, parents: list[ast.AST]) -> int:
    """Return how far down the expression stands that tells where a change is."""
    level = len(parents)
    if isinstance(node, (ast.Constant, ast.UnaryOp)):
        while not isinstance(parents[level - 1], (ast.stmt, ast.comprehension)):
            level -= 1
            if not isinstance(parents[level], (ast.keyword, ast.UnaryOp, ast.Tuple, ast.Slice)):
                break
    return level


def _text(node: ast.AST) -> str:
    if isinstance(node, (ast.If, ast.While)):
        return f"if {ast.unparse(node.test)}"
    return " ".join(ast.unparse(node).split())


def _changes(node: ast.AST) -> Iterator:
    """Yield functions that each change the node in place."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        yield from _of_arithmetic(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield lambda: _become(node, node.operand)
    elif isinstance(node, ast.Compare):
        for new in _COMPARISONS.get(type(node.ops[0]), ()):
            yield lambda new=new: node.ops.__setitem__(0, new())
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield lambda: setattr(node, "op", other())
    elif isinstance(node, (ast.If, ast.IfExp)) and not isinstance(
        node.test, (ast.Compare, ast.UnaryOp)
    ):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield lambda: _become(node, ast.Pass())


def _of_arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator:
    text = isinstance(node, ast.BinOp) and any(
        isinstance(side, (ast.JoinedStr, ast.List, ast.Tuple))
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )
    if type(node.op) in _ARITHMETIC and not text:
        yield lambda: setattr(node, "op", _ARITHMETIC[type(node.op)]())
    if isinstance(node, ast.AugAssign):
        yield lambda: _become(node, ast.Pass())


def _of_constant(node: ast.Constant) -> Iterator:
    if isinstance(node.value, bool):
        yield lambda: setattr(node, "value", not node.value)
    elif isinstance(node.value, int):
        yield lambda: setattr(node, "value", node.value + 1)
    elif isinstance(node.value, float):
        yield lambda: setattr(node, "value", node.value * 2 or 1.0)


def _of_call(node: ast.Call) -> Iterator:
    func = node.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in _SWAPPED:
        field = "attr" if isinstance(func, ast.Attribute) else "id"
        yield lambda: setattr(func, field, _SWAPPED[name])
    if name in _REMOVED:
        module = isinstance(func, ast.Attribute) and ast.unparse(func.value) in {
            "torch",
            "np",
            "math",
            "F",
            "functional",
            "torch.linalg",
            "np.linalg",
        }
        if isinstance(func, ast.Attribute) and not module:
            yield lambda: _become(node, func.value)
        elif node.args and not isinstance(node.args[0], ast.Starred):
            yield lambda: _become(node, node.args[0])


def _become(node: ast.AST, other: ast.AST) -> None:
    """Turn a node into another one, in place."""
    place = {
        name: getattr(node, name)
        for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")
    }
    node.__class__ = other.__class__  # type: ignore[assignment]
    fields = dict(vars(other))
    vars(node).clear()
    vars(node).update({**place, **fields, **place})
