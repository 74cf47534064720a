"""The Snakemake workflow over many data sets: what it plans, and that it shares work."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cellflow.cli.app import app
from tests.workflows.planned import jobs_of

FOLDER = Path(__file__).parents[2] / "workflows" / "benchmark"
SNAKEFILE = FOLDER / "workflow" / "Snakefile"
COMPARED = {
    "data": [{"file": "a.h5ad", "time_key": "day", "use_rep": "X_pca"}],
    "methods": [{"method": "ot-cfm", "n_steps": 5}],
    "seeds": [0],
}


@pytest.fixture
def planned(snakemake, course):
    """Settings in the working directory, and what a call of Snakemake says to them."""

    def call(*words, **config):
        course.write_h5ad("a.h5ad")
        Path("plan.yaml").write_text(yaml.safe_dump(COMPARED))
        Path("config.yaml").write_text(yaml.safe_dump({"plan": "plan.yaml", **config}))
        settings = ("--snakefile", SNAKEFILE, "--configfile", "config.yaml")
        return snakemake(*settings, "--cores", 1, *words)

    return call


def test_a_job_a_part_and_commands_that_cellflow_understands(planned):
    code, said = planned("--dry-run", parts=3)
    assert code == 0, said
    assert jobs_of(said) == {"all": 1, "part": 3, "table": 1, "total": 5}
    calls = [shlex.split(call) for call in re.findall(r"cellflow benchmark (.*?) (?:>|&&)", said)]
    benchmark = app.get_command(None, "benchmark")
    given = [benchmark.make_context("benchmark", call).params for call in calls]
    assert {one["part"] for one in given} == {(1, 3), (2, 3), (3, 3), None}
    assert len({one["output"] for one in given}) == 1
    assert "input: plan.yaml, a.h5ad" in said


#: What stands for cellflow in jobs: it keeps its words, and writes what the last command does.
STUB = """#!/bin/sh
echo "$@" >> called
mkdir -p results/fits
touch results/fits/benchmark.csv results/fits/benchmark.md results/fits/benchmark.png
"""


def test_parts_make_the_table_that_one_run_makes_and_changed_data_are_noticed(
    planned, run, course, tmp_path, monkeypatch
):
    """`make workflow-test` lets jobs call cellflow itself; here it is called in this process."""
    stub = tmp_path / "stub" / "cellflow"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(stub.parent), prepend=os.pathsep)
    code, said = planned("--quiet", parts=2)
    assert code == 0, said
    assert "Nothing to be done" in planned("--dry-run", parts=2)[1]
    course.obsm["X_pca"] += 1
    assert jobs_of(planned("--dry-run", parts=2)[1])["part"] == 2
    shutil.rmtree("results/fits")
    for call in Path("called").read_text().splitlines():
        assert run(*shlex.split(call))[0] == 0
    assert run("benchmark", "plan.yaml", "--output", "whole", "--jobs", 1)[0] == 0
    tables = [pd.read_csv(f"{folder}/benchmark.csv") for folder in ("results/fits", "whole")]
    pd.testing.assert_frame_equal(*(table.drop(columns="seconds") for table in tables))


def test_settings_that_are_wrong_are_refused(planned):
    code, said = planned("--dry-run", parts=0)
    assert code == 1
    assert "0 is less than the minimum of 1" in said
