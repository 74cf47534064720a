"""The package as a whole: what importing it costs, and the conventions of its public verbs."""

import inspect
import subprocess
import sys

import pytest
from numpydoc.validate import validate

import cellflow as cf

#: All that the command line loads before a command runs; `attr` comes with an older rich.
LIGHT = {"cellflow", "click", "rich", "rich_click", "attr"}
#: And of cellflow itself: commands, and the names that their options offer.
COMMANDS = {"cellflow", "cellflow._errors", "cellflow.cli", "cellflow.methods"}
VERBS = [
    (package, name)
    for package in ("pp", "tl", "pl", "datasets", "images")
    for name in getattr(cf, package).__all__
    if inspect.isfunction(getattr(getattr(cf, package), name))
]


def loaded_by(code: str) -> set[str]:
    """Modules that the code loads, beside those of the standard library."""
    words = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    result = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    )
    loaded = result.stdout.split("\n")[-2].split()
    return {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}


def first(n_parts: int, modules: set[str]) -> set[str]:
    """Names of modules, cut to so many parts."""
    return {".".join(name.split(".")[:n_parts]) for name in modules}


def test_importing_cellflow_loads_nothing_else():
    assert loaded_by("import cellflow") == {"cellflow"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fit"],
        ["finetune"],
        ["benchmark"],
        ["image"],
        ["image", "finetune"],
        ["image", "train"],
        ["image", "score"],
    ],
)
def test_help_loads_nothing_heavy(words):
    call = f"app.main({[*words, '--help']}, standalone_mode=False)"
    loaded = loaded_by(f"from cellflow.cli.app import app; {call}")
    assert first(1, loaded) <= LIGHT
    assert first(2, {name for name in loaded if name.startswith("cellflow")}) <= COMMANDS


def test_everything_promised_is_there():
    for name in cf.__all__:
        assert getattr(cf, name) is not None
    assert set(cf.__all__) <= set(dir(cf))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cf.nothing  # noqa: B018


@pytest.mark.parametrize(("package", "name"), VERBS)
def test_verbs_keep_the_conventions_of_scanpy(package, name):
    verb = getattr(getattr(cf, package), name)
    parameters = list(inspect.signature(verb).parameters.values())
    if package in ("pp", "tl"):
        assert parameters[0].name == "adata"
    if package == "pp":
        assert "copy" in inspect.signature(verb).parameters
    if package == "pl" and name != "save":
        assert {"ax", "show"} <= set(inspect.signature(verb).parameters)
    optional = [p for p in parameters if p.default is not p.empty]
    assert all(p.kind is p.KEYWORD_ONLY for p in optional)


@pytest.mark.parametrize(("package", "name"), VERBS)
def test_docstrings_are_complete(package, name):
    """Every parameter and result is documented, by numpydoc's own checks."""
    faults = {"PR01", "PR02", "PR03", "PR07", "RT01", "GL08", "SS01", "SS02"}
    found = validate(f"cellflow.{package}.{name}")["errors"]
    assert [error for error in found if error[0] in faults] == []
