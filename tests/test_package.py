"""The package as a whole: what importing it costs, and that all it promises is there."""

import subprocess
import sys

import pytest

import cellflow as cf

HEAVY = {
    "PIL", "anndata", "matplotlib", "numpy", "ot", "pandas", "pydantic", "scanpy", "scipy",
    "sklearn", "torch",
}  # fmt: skip


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
