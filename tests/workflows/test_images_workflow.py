"""The Snakemake workflow over images: what it plans, what it refuses, and what it calls."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import cellflow as cf
from cellflow.cli.image import image
from cellflow.images import CONFIGS
from cellflow.images.scoring.features import SPACES
from cellflow.methods.names import SOLVERS
from cellflow.methods.parts import COUPLINGS
from cellflow.methods.presets import PRESETS
from tests.workflows.planned import jobs_of

FOLDER = Path(__file__).parents[2] / "workflows" / "images"
SNAKEFILE = FOLDER / "workflow" / "Snakefile"
SCHEMA = yaml.safe_load((FOLDER / "workflow/schemas/config.schema.yaml").read_text())
CONFIG_FILES = [
    "config/config.yaml",
    "config/comparison-digits.yaml",
    ".test/config/config.yaml",
]

#: Every key of the config, none as it is by default.
ALL_KEYS = {
    "data": "my pictures",
    "size": 16,
    "runs": [
        "i-cfm",
        {
            "name": "large",
            "method": "mean-flow",
            "coupling": "ot",
            "coupling_batch_size": 9,
            "config": "digits",
            "n_steps": 8,
            "solvers": [{"solver": "average", "n_steps": 2}],
        },
        {"name": "tuned", "finetunes": "i-cfm", "alpha": 0.5, "target": "hermite"},
    ],
    "seeds": [3],
    "config": "my.yaml",
    "n_steps": 7,
    "checkpoint_every": 5,
    "n_samples": 4,
    "solvers": [{"solver": "edm-heun", "n_steps": 3, "rho": 30}, {"solver": "dopri8"}],
    "space": "inception",
    "weights": "w.safetensors",
    "cache": "kept",
    "threads": 2,
}


@pytest.fixture
def plan(snakemake):
    return lambda config: snakemake(
        "--snakefile", SNAKEFILE, "--configfile", config, "--dry-run", "--cores", 1
    )


def write(values, name="config.yaml"):
    Path(name).write_text(yaml.safe_dump(values))
    return name


def user_files():
    """What `ALL_KEYS` names, in the working directory."""
    Path("my pictures").mkdir()
    for name in ("my.yaml", "w.safetensors"):
        Path(name).touch()


def commands(said):
    """Words of every call of cellflow, by the verb over images."""
    calls = re.findall(r"cellflow image (\w+ .*?) > \S+ 2>&1", said)
    return [shlex.split(call) for call in calls]


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_config_plans_a_run_for_each_method_seed_and_solver(plan, name):
    config = yaml.safe_load((FOLDER / name).read_text())
    code, said = plan(FOLDER / name)
    assert code == 0, said
    seeds, runs = len(config["seeds"]), config["runs"]
    tuned = [run for run in runs if "finetunes" in run]
    expected = {"all": 1, "table": 1, "train": (len(runs) - len(tuned)) * seeds}
    expected |= {"sample": len(runs) * seeds, "score": len(runs) * seeds}
    expected |= {"finetune": len(tuned) * seeds} if tuned else {}
    assert jobs_of(said) == {**expected, "total": sum(expected.values())}


def test_every_command_is_one_that_cellflow_understands(plan):
    user_files()
    code, said = plan(write(ALL_KEYS))
    assert code == 0, said
    called = commands(said)
    given = {verb: [] for verb, *_ in called}
    for verb, *words in called:
        given[verb].append(image.commands[verb].make_context(verb, words).params)
    assert set(given) == {"train", "finetune", "sample", "score", "table"}
    plain, large = sorted(given["train"], key=lambda one: str(one["output"]))
    assert (plain["method"], plain["config"], plain["n_steps"]) == ("i-cfm", "my.yaml", 7)
    assert (large["method"], large["config"], large["n_steps"]) == ("mean-flow", "digits", 8)
    assert (large["coupling"], large["coupling_batch_size"]) == ("ot", 9)
    for one in given["train"]:
        assert (one["data"], one["size"], one["seed"]) == ("my pictures", 16, 3)
        assert (one["checkpoint_every"], one["resume"]) == (5, True)
    (tuned,) = given["finetune"]
    assert str(tuned["flow_path"]).endswith("results/i-cfm/3/flow")
    assert (tuned["oat_alpha"], tuned["oat_target"], tuned["seed"]) == (0.5, "hermite", 3)
    assert len(given["sample"]) == len(given["score"]) == 3
    for one in given["score"]:
        assert (one["data"], one["n"], one["seed"]) == ("my pictures", 4, 3)
        assert (one["space"], one["size"]) == ("inception", 16)
        assert (one["weights"], one["cache"]) == (Path("w.safetensors"), Path("kept"))
    by = {one["name"]: one["by"] for one in given["score"]}
    common = ("edm-heun:3:30", "dopri8")
    assert by == {"i-cfm": common, "large": ("average:2",), "tuned": common}
    assert len(given["table"][0]["scores"]) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runs": ["ot-cfn"]}, "'ot-cfn' is not valid"),
        ({"runs": []}, "runs"),
        ({"runs": [{"method": "ot-cfm", "batch": 3}]}, "is not valid under any"),
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
def test_a_config_that_is_wrong_is_refused_with_the_reason(plan, changes, reason):
    right = {"data": "digits", "runs": ["ot-cfm"], "seeds": [0]}
    code, said = plan(write(right | changes))
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
    assert jobs_of(said)["images_train"] == 2
    assert jobs_of(said)["images_finetune"] == 1
    lines = re.findall(r"^ +(output|log|benchmark): (.*)$", said, re.MULTILINE)
    assert {kind for kind, _ in lines} == {"output", "log", "benchmark"}
    assert all(path.startswith("below/") for _, path in lines)
    assert "input: my pictures, my.yaml\n" in said


def test_the_schema_knows_the_names_that_cellflow_knows():
    keys = SCHEMA["properties"]
    # Every method that needs no flow fitted before.
    known = [name for name in PRESETS if not cf.method(name).objective.fine_tunes]
    parts = SCHEMA["$defs"]
    assert parts["method"]["enum"] == known
    solver = parts["solvers"]["items"]
    assert set(solver["properties"]["solver"]["enum"]) == set(SOLVERS)
    assert keys["space"]["enum"] == list(SPACES)
    pattern = keys["config"]["pattern"]
    assert all(re.search(pattern, name) for name in CONFIGS)
    fixed = {name for name, summary in SOLVERS.items() if summary.startswith("fixed")}
    assert set(solver["if"]["properties"]["solver"]["enum"]) == fixed
    training = keys["runs"]["items"]["oneOf"][1]["properties"]
    from_noise = {name for name, part in COUPLINGS.items() if part.takes_noise}
    assert set(training["coupling"]["enum"]) == from_noise - {"acceleration"}


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (["ot-cfm", "ot-cfm"], "two of the runs have one name"),
        (["ot-cfm", {"name": "tuned", "finetunes": "i-cfm"}], "finetunes names no run"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(plan, runs, reason):
    code, said = plan(write({"data": "digits", "runs": runs, "seeds": [0]}))
    assert code == 1
    assert reason in said


def test_every_key_is_tested():
    assert set(ALL_KEYS) == set(SCHEMA["properties"])
