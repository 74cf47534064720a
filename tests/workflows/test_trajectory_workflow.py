"""The Snakemake workflow from snapshots to a report: what it plans, calls and refuses."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from cellflow.cli.app import app
from tests.workflows.planned import jobs_of

FOLDER = Path(__file__).parents[2] / "workflows" / "trajectory"
SNAKEFILE = FOLDER / "workflow" / "Snakefile"
SHEET = """sample\tfile\ttime_key\tuse_rep\tgroups\tbasis\tpredict\thold_out
# a comment
full\ta.h5ad\tday\tX_pca\ttype\tumap pca\t1.5 3\t1
bare\ta.h5ad
"""


@pytest.fixture
def plan(snakemake):
    """Say a sheet and settings, and get what Snakemake would do."""

    def call(sheet=SHEET, **config):
        Path("a.h5ad").touch()
        Path("samples.tsv").write_text(sheet)
        Path("config.yaml").write_text(yaml.safe_dump({"samples": "samples.tsv", **config}))
        settings = ("--snakefile", SNAKEFILE, "--configfile", "config.yaml")
        return snakemake(*settings, "--dry-run", "--cores", 1)

    return call


def commands(said):
    """Words of every call of cellflow, by command."""
    calls = re.findall(r"cellflow ((?!image)[a-z]+ .*?)(?: > logs|\)? > | && )", said)
    return [shlex.split(call.rstrip(")")) for call in calls]


def test_samples_get_what_their_row_asks_for(plan):
    code, said = plan()
    assert code == 0, said
    assert jobs_of(said) == {
        "all": 1, "embed": 2, "fit": 2, "holdout": 2, "interpolate": 2, "trajectories": 2,
        "fates": 1, "transitions": 1, "velocity": 2, "report": 2, "total": 17,
    }  # fmt: skip
    assert "holdout" not in jobs_of(plan(holdout=False)[1])


def test_every_command_is_one_that_cellflow_understands(plan):
    code, said = plan(method="ot-cfm", n_steps=7, seed=2, seeds=[3, 4], max_cells=9, n_dims=4)
    assert code == 0, said
    given = {}
    for verb, *words in commands(said):
        command = app.get_command(None, verb)
        if verb == "plot":
            command = command.commands[words.pop(0)]
        given.setdefault(verb, []).append(command.make_context(verb, words).params)
    assert set(given) == {
        "embed", "fit", "holdout", "interpolate", "plot", "fates", "transitions", "velocity",
        "report",
    }  # fmt: skip
    (full,) = [one for one in given["holdout"] if one["use_rep"] == "X_pca"]
    assert (full["seeds"], full["times"], full["max_cells"]) == ((3, 4), ("1",), 9)
    assert {one["seed"] for one in given["fit"]} == {2}
    assert {one["time"] for one in given["interpolate"]} == {"1.5", "3"}
    assert {one["basis"] for one in given["velocity"]} == {("umap", "pca"), ()}
    assert {one["groups"] for one in given["fates"]} == {"type"}
    assert {one["color"] for one in given["report"]} == {"type", None}
    assert {one["n_dims"] for one in given["embed"]} == {4}


@pytest.mark.parametrize(
    ("sheet", "reason"),
    [
        ("sample\tfile\na\tb.csv\n", "'b.csv' does not match"),
        ("sample\tfile\tcolour\na\tb.h5ad\tred\n", "'colour' was unexpected"),
        ("sample\tfile\na/b\tb.h5ad\n", "'a/b' does not match"),
        ("sample\tfile\na\tb.h5ad\na\tb.h5ad\n", "samples named twice in samples.tsv: a"),
    ],
)
def test_a_sheet_that_is_wrong_is_refused_with_the_reason(plan, sheet, reason):
    code, said = plan(sheet)
    assert code == 1
    assert reason in said


def test_every_column_of_the_sheet_is_explained():
    schema = yaml.safe_load((FOLDER / "workflow/schemas/samples.schema.yaml").read_text())
    text = (FOLDER / "config/README.md").read_text()
    assert all(f"| `{name}` |" in text for name in schema["properties"])
