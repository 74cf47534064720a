"""What all Snakemake workflows have in common."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

WORKFLOWS = sorted(
    path.parents[1] for path in Path("workflows").absolute().glob("*/workflow/Snakefile")
)


@pytest.fixture(params=WORKFLOWS, ids=lambda folder: folder.name)
def folder(request):
    """The folder of a workflow."""
    return request.param


def test_there_are_some():
    assert {"images", "benchmark", "trajectory"} <= {folder.name for folder in WORKFLOWS}


def test_the_linter_has_nothing_to_say(snakemake, folder):
    code, said = snakemake(
        "--snakefile", folder / "workflow/Snakefile", "--directory", folder / ".test", "--lint"
    )
    assert code == 0, said


def test_rules_are_formatted(folder):
    if importlib.util.find_spec("snakefmt") is None:
        pytest.skip("needs snakefmt")
    ran = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", folder / "workflow"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_every_key_of_the_config_is_explained(folder):
    schema = yaml.safe_load((folder / "workflow/schemas/config.schema.yaml").read_text())
    text = (folder / "config/README.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert explained >= set(schema["properties"])


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_a_profile_sets_options_of_snakemake_and_rules_that_exist(snakemake, folder, profile):
    settings = yaml.safe_load((folder / "workflow/profiles" / profile / "config.yaml").read_text())
    _, said = snakemake("--help")
    assert all(f"--{option}" in said for option in settings)
    rules = "".join(path.read_text() for path in (folder / "workflow/rules").glob("*.smk"))
    assert all(f"rule {name}:" in rules for name in settings.get("set-resources", {}))


def test_rules_call_the_command_line_only(folder):
    rules = "".join(path.read_text() for path in (folder / "workflow/rules").glob("*.smk"))
    assert not re.search(r"^    (run|script|notebook|wrapper):", rules, re.MULTILINE)
    for rule in re.split(r"^rule ", rules, flags=re.MULTILINE)[1:]:
        assert "cellflow " in rule
        assert "log:" in rule
        assert "benchmark:" in rule
