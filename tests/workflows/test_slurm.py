"""The Slurm profiles with the plugin that they name, on a cluster that is made up."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import yaml

WORKFLOWS = Path(__file__).parents[2] / "workflows"
FAKE = Path(__file__).parent / "fake_slurm.py"
COMMANDS = ["sbatch", "sacct", "sinfo", "srun", "scontrol", "scancel", "sacctmgr"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="needs snakemake-executor-plugin-slurm",
)


def of(name):
    """Options that say a workflow, and its profile for Slurm."""
    folder = WORKFLOWS / name / "workflow"
    return "--snakefile", folder / "Snakefile", "--workflow-profile", folder / "profiles/slurm"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Commands of Slurm on the path; the folder that jobs leave their states in."""
    nodes, commands = tmp_path / "nodes", tmp_path / "commands"
    for folder in (nodes, commands):
        folder.mkdir()
    for name in COMMANDS:
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} -S {FAKE} {name} "$@"\n')
    # What jobs call there is kept, and nothing else done.
    (nodes / "cellflow").write_text('#!/bin/sh\necho "$@" >> "$FAKE_SLURM/called"\n')
    for command in (*commands.iterdir(), *nodes.iterdir()):
        command.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), os.environ["PATH"]]))
    monkeypatch.setenv("FAKE_SLURM", str(nodes))
    return nodes


@pytest.mark.parametrize("name", ["benchmark", "images", "trajectory"])
def test_a_profile_plans_all_jobs(snakemake, name):
    config = WORKFLOWS / name / ".test"
    code, said = snakemake(*of(name), "--directory", config, "--dry-run", "--forceall")
    assert code == 0, said
    settings = yaml.safe_load(
        (WORKFLOWS / name / "workflow/profiles/slurm/config.yaml").read_text()
    )
    assert f"mem_mb={settings['default-resources']['mem_mb']}" in said


@pytest.mark.slow
def test_jobs_are_submitted_with_the_resources_of_the_profile(snakemake, cluster):
    Path("a.h5ad").touch()
    Path("plan.yaml").write_text("data: [a.h5ad]\n")
    Path("config.yaml").write_text("{plan: plan.yaml, parts: 1}\n")
    quick = ["--slurm-init-seconds-before-status-checks", 1, "--latency-wait", 0]
    code, said = snakemake(
        *of("benchmark"), "--configfile", "config.yaml", "--until", "part", *quick
    )
    assert code == 0, said
    asked = (cluster / "1.asked").read_text()
    assert "\n-p\nshort\n-t\n240\n--mem\n6000\n" in asked
    assert "--cpus-per-task=1" in asked
    assert (cluster / "1.state").read_text() == "COMPLETED"
    called = (cluster / "called").read_text()
    assert called == "benchmark plan.yaml --output results/fits --part 1/1 --jobs 1\n"
    assert Path("results/parts/1.done").exists()
