"""The package as a whole: what importing it costs, and the conventions of its public verbs."""

import inspect
import subprocess
import sys

import pytest
from numpydoc.validate import validate

import cellflow as cf

HEAVY = {
    "PIL", "anndata", "matplotlib", "numpy", "ot", "pandas", "pydantic", "scanpy", "scipy",
    "sklearn", "torch",
}  # fmt: skip
VERBS = [
    (package, name)
    for package in ("pp", "tl", "pl", "datasets", "images")
    for name in getattr(cf, package).__all__
    if inspect.isfunction(getattr(getattr(cf, package), name))
]


def loaded_by(code: str) -> set[str]:
    words = f"import sys; {code}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split("\n")[-2].split())


def test_importing_cellflow_loads_nothing_heavy():
    assert not loaded_by("import cellflow") & HEAVY


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
    assert not loaded_by(f"from cellflow.cli.app import app; {call}") & HEAVY


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
