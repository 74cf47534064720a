"""The Snakemake workflow over images: what it plans, what it refuses, and what it calls."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cellflow as cf
from cellflow.cli.image import image
from cellflow.images import CONFIGS
from cellflow.images.features import SPACES
from cellflow.methods.names import SOLVERS
from cellflow.methods.presets import PRESETS

FOLDER = Path(__file__).parents[2] / "workflows" / "images"
SNAKEFILE = FOLDER / "workflow" / "Snakefile"
SCHEMA = yaml.safe_load((FOLDER / "workflow/schemas/config.schema.yaml").read_text())
CONFIG_FILES = ["config/config.yaml", ".test/config/config.yaml"]

#: Every key of the config, none as it is by default.
ALL_KEYS = {
    "data": "my pictures",
    "size": 16,
    "methods": ["i-cfm", "fm"],
    "seeds": [3],
    "config": "my.yaml",
    "n_steps": 7,
    "checkpoint_every": 5,
    "n_samples": 4,
    "solvers": [{"solver": "midpoint", "n_steps": 3}, {"solver": "dopri8"}],
    "space": "inception",
    "weights": "w.safetensors",
    "cache": "kept",
    "threads": 2,
}


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    """Run Snakemake in an empty folder: exit code and what it says."""
    if importlib.util.find_spec("snakemake") is None:
        pytest.skip("needs snakemake")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        ran = subprocess.run(
            [sys.executable, "-m", "snakemake", *map(str, words)],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout

    return call


def plan(snakemake, config):
    return snakemake("--snakefile", SNAKEFILE, "--configfile", config, "--dry-run", "--cores", 1)


def write(values, name="config.yaml"):
    Path(name).write_text(yaml.safe_dump(values))
    return name


def user_files():
    """What `ALL_KEYS` names, in the working directory."""
    Path("my pictures").mkdir()
    for name in ("my.yaml", "w.safetensors"):
        Path(name).touch()


def jobs(said):
    """How often each rule is to run."""
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}


def commands(said):
    """Words of every call of cellflow, by the verb over images."""
    calls = re.findall(r"cellflow image (\w+ .*?) > \S+ 2>&1", said)
    return [shlex.split(call) for call in calls]


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_config_plans_a_run_for_each_method_seed_and_solver(snakemake, name):
    config = yaml.safe_load((FOLDER / name).read_text())
    code, said = plan(snakemake, FOLDER / name)
    assert code == 0, said
    runs = len(config["methods"]) * len(config["seeds"])
    samples = runs * len(config["solvers"])
    expected = {"all": 1, "train": runs, "grid": runs, "sample": samples, "score": samples}
    expected |= {"table": 1}
    assert jobs(said) == {**expected, "total": sum(expected.values())}


def test_every_command_is_one_that_cellflow_understands(snakemake):
    user_files()
    code, said = plan(snakemake, write(ALL_KEYS))
    assert code == 0, said
    called = commands(said)
    assert {verb for verb, *_ in called} == {"train", "sample", "data", "score", "table"}
    given = {}
    for verb, *words in called:
        given[verb] = image.commands[verb].make_context(verb, words).params
    assert given["train"]["data"] == "my pictures"
    assert given["train"]["config"] == "my.yaml"
    assert (given["train"]["n_steps"], given["train"]["size"], given["train"]["seed"]) == (7, 16, 3)
    assert (given["train"]["checkpoint_every"], given["train"]["resume"]) == (5, True)
    assert (given["sample"]["n"], given["sample"]["seed"]) == (4, 3)
    assert given["score"]["data"] == "my pictures"
    assert (given["score"]["space"], given["score"]["size"]) == ("inception", 16)
    assert (given["score"]["weights"], given["score"]["cache"]) == (
        Path("w.safetensors"),
        Path("kept"),
    )
    assert given["data"]["source"].endswith("/midpoint-3.npz")
    assert len(given["table"]["scores"]) == 4
    made = [
        image.commands[v].make_context(v, words).params for v, *words in called if v == "sample"
    ]
    settings = {(one["solver"], one["n_steps"]) for one in made}
    assert settings == {("midpoint", 3), ("dopri8", 100)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"methods": ["ot-cfn"]}, "'ot-cfn' is not one of"),
        ({"methods": []}, "methods"),
        ({"seeds": [-1]}, "-1 is less than the minimum of 0"),
        ({"data": None}, "None is not of type 'string'"),
        ({"config": "mnits"}, "'mnits' does not match"),
        ({"n_samples": 3}, "3 is less than the minimum of 4"),
        ({"solvers": [{"solver": "euler"}]}, "'n_steps' is a required property"),
        ({"solvers": [{"solver": "dopri5", "n_steps": 4}]}, "should not be valid"),
        ({"space": "inception"}, "None is not of type 'string'"),
        ({"nsteps": 3}, "'nsteps' was unexpected"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_config_that_is_wrong_is_refused_with_the_reason(snakemake, changes, reason):
    right = {"data": "digits", "methods": ["ot-cfm"], "seeds": [0]}
    code, said = plan(snakemake, write(right | changes))
    assert code == 1
    assert "Error validating config file" in said
    assert reason in said


def test_as_a_module_it_keeps_to_its_folder_and_finds_the_files_of_the_user(snakemake):
    user_files()
    write({"images": ALL_KEYS})
    Path("Snakefile").write_text(
        f"""
configfile: "config.yaml"
module images:
    snakefile: "{SNAKEFILE}"
    config: config["images"]
    prefix: "below"
use rule * from images as images_*
"""
    )
    code, said = snakemake("images_all", "--dry-run", "--cores", 1)
    assert code == 0, said
    assert jobs(said)["images_train"] == 2
    lines = re.findall(r"^ +(output|log|benchmark): (.*)$", said, re.MULTILINE)
    assert {kind for kind, _ in lines} == {"output", "log", "benchmark"}
    assert all(path.startswith("below/") for _, path in lines)
    assert "input: my pictures, my.yaml\n" in said


def test_the_linter_has_nothing_to_say(snakemake):
    config = FOLDER / "config" / "config.yaml"
    code, said = snakemake("--snakefile", SNAKEFILE, "--configfile", config, "--lint")
    assert code == 0, said


def test_rules_are_formatted(snakemake):
    if importlib.util.find_spec("snakefmt") is None:
        pytest.skip("needs snakefmt")
    ran = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", FOLDER / "workflow"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_schema_knows_the_names_that_cellflow_knows():
    keys = SCHEMA["properties"]
    # Every method that needs no flow fitted before.
    known = [name for name in PRESETS if cf.method(name).objective != "oat"]
    assert keys["methods"]["items"]["enum"] == known
    assert keys["solvers"]["items"]["properties"]["solver"]["enum"] == list(SOLVERS)
    assert keys["space"]["enum"] == list(SPACES)
    pattern = keys["config"]["pattern"]
    assert all(re.search(pattern, name) for name in CONFIGS)
    fixed = SCHEMA["properties"]["solvers"]["items"]["if"]["properties"]["solver"]["enum"]
    assert fixed == [name for name, summary in SOLVERS.items() if summary.startswith("fixed")]


def test_every_key_of_the_config_is_explained():
    text = (FOLDER / "config" / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(SCHEMA["properties"])
    assert set(ALL_KEYS) == set(SCHEMA["properties"])


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_a_profile_sets_options_of_snakemake_and_rules_that_exist(snakemake, profile):
    settings = yaml.safe_load((FOLDER / "workflow/profiles" / profile / "config.yaml").read_text())
    _, said = snakemake("--help")
    assert all(f"--{option}" in said for option in settings)
    rules = "".join(path.read_text() for path in (FOLDER / "workflow/rules").glob("*.smk"))
    assert all(f"rule {name}:" in rules for name in settings.get("set-resources", {}))
