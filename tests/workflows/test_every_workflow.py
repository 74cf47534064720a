"""What all Snakemake workflows have in common."""

import importlib.util
import re
import shutil
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


@pytest.fixture
def settings(folder, tmp_path):
    """Those of a workflow's small example, with its files, in an empty folder."""
    shutil.copytree(folder / ".test/config", tmp_path / "config")
    data = Path("cellflow/datasets/data").absolute()
    for path in (*tmp_path.glob("config/*.tsv"), *tmp_path.glob("config/plan.yaml")):
        path.write_text(re.sub(r"(\.\./)+cellflow/datasets/data", str(data), path.read_text()))
    return yaml.safe_load((tmp_path / "config/config.yaml").read_text())


def test_another_workflow_takes_it_as_a_module(settings, folder, snakemake):
    """All that it writes lies below the prefix, and files of the user are found from outside."""
    Path("config.yaml").write_text(yaml.safe_dump({"own": settings}))
    Path("Snakefile").write_text(
        f"""
configfile: "config.yaml"
module taken:
    snakefile: "{folder / "workflow/Snakefile"}"
    config: config["own"]
    prefix: "below"
use rule * from taken as own_*
"""
    )
    code, said = snakemake("own_all", "--dry-run", "--cores", 1)
    assert code == 0, said
    written = re.findall(r"^ +(?:output|log|benchmark): (.*)$", said, re.MULTILINE)
    assert len(written) >= 9
    assert all(each.startswith("below/") for line in written for each in line.split(", "))
    files = re.findall(r"\S*(?:semrau2017\.h5ad|plan\.yaml)", said)
    assert not any(each.startswith("below/") for each in files)


def test_it_is_ready_for_the_catalogue(folder):
    said = yaml.safe_load((folder / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert said["report"]
    assert said["software-stack-deployment"]["conda"]
    rules = "".join(path.read_text() for path in (folder / "workflow/rules").glob("*.smk"))
    captions = set(re.findall(r'caption="\.\./(.*?)"', rules))
    assert captions
    assert all((folder / "workflow" / caption).read_text() for caption in captions)
    assert rules.count("conda:") == len(re.findall("^rule ", rules, re.MULTILINE))
    assert (folder / "workflow/envs/cellflow.yaml").exists()


def test_rules_call_the_command_line_only(folder):
    rules = "".join(path.read_text() for path in (folder / "workflow/rules").glob("*.smk"))
    assert not re.search(r"^    (run|script|notebook|wrapper):", rules, re.MULTILINE)
    for rule in re.split(r"^rule ", rules, flags=re.MULTILINE)[1:]:
        assert "cellflow " in rule
        assert "log:" in rule
        assert "benchmark:" in rule
