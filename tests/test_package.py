"""The package as a whole: what importing it costs, and that all it promises is there."""

import subprocess
import sys

import pytest

import cellflow as cf

#: All that the command line loads before a command runs; `attr` comes with an older rich.
LIGHT = {"cellflow", "click", "rich", "rich_click", "attr"}
#: And of cellflow itself: commands, and the names that their options offer.
COMMANDS = {
    "cellflow",
    "cellflow._errors",
    "cellflow._files",
    "cellflow._quoting",
    "cellflow._signals",
    "cellflow.cli",
    "cellflow.evaluation",
    "cellflow.methods",
}


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
