"""What a release needs: one version, a kept change log, workflows that call what is there."""

import json
import re
import runpy
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import cellflow as cf

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGES = (ROOT / "CHANGELOG.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
LISTING = yaml.safe_load((ROOT / "docs" / "scverse" / "meta.yaml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: What no one can know before the project has a public address; docs/releasing.md names the same.
TO_FILL_IN = {"project_home", "documentation_home", "tutorials_home", "version", "contact"}


@pytest.fixture(scope="module")
def check():
    """The functions of scripts/check_release.py."""
    return runpy.run_path(str(ROOT / "scripts" / "check_release.py"))


def targets() -> set[str]:
    """Targets of the Makefile."""
    rules = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name for names in rules for name in names.split()}


def called(workflow: Path) -> set[str]:
    """Targets that a workflow calls, for all values of its matrices."""
    found = set()
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            for word in re.findall(r'^make "?([^"\n]+)', step.get("run", ""), re.MULTILINE):
                found |= filled(word, step.get("env", {}), matrix)
    return found


def filled(word: str, variables: dict[str, str], matrix: dict) -> set[str]:
    """The word with each value that the matrix gives its variable."""
    for name, value in variables.items():
        if f"${name}" in word:
            key = value.removeprefix("${{ matrix.").removesuffix(" }}")
            values = matrix[key] + [row[key] for row in matrix.get("include", [])]
            return {word.replace(f"${name}", each) for each in values}
    return {word}


def test_the_version_is_one_and_of_pep_440():
    assert str(Version(cf.__version__)) == cf.__version__
    assert metadata("cellflow-snapshots")["Version"] == cf.__version__


def test_the_change_log_begins_with_what_is_unreleased_or_the_last_release():
    sections = re.findall(r"^## (.*)", CHANGES, re.MULTILINE)
    released = sections[sections[0] == "Unreleased" :]
    dated = [re.fullmatch(r"(\S+) \(\d{4}-\d\d-\d\d\)", title) for title in released]
    assert all(dated), released
    versions = [Version(match[1]) for match in dated]
    assert versions == sorted(versions, reverse=True)
    assert CITATION.get("version") == (dated[0][1] if dated else None)


def test_a_release_that_is_not_told_of_is_refused(check):
    check["check_told"]("9.9.dev3+gabc")
    with pytest.raises(SystemExit, match=r"CHANGELOG.md tells of \S+, not of 9.9"):
        check["check_told"]("9.9")


def test_files_too_few_and_too_many_are_found(check):
    check["check_same"](Path("x.whl"), {"a"}, {"a"})
    with pytest.raises(SystemExit, match=r"x.whl lacks \['b'\] and should not have \['a'\]"):
        check["check_same"](Path("x.whl"), {"a"}, {"b"})


def test_the_metadata_has_what_an_index_and_the_listing_show():
    shown = metadata("cellflow-snapshots")
    assert shown["License-Expression"] == PROJECT["license"]
    assert shown["Summary"] == PROJECT["description"]
    assert shown["Description-Content-Type"] == "text/markdown"
    assert (ROOT / PROJECT["readme"]).is_file()
    assert PROJECT["keywords"]


def test_the_licence_covers_what_others_wrote_and_every_notice_is_packaged():
    """Our own licence comes first, and is the one that citation and listing name."""
    deck = ROOT / "cellflow" / "report" / "deck"
    packages = json.loads((deck / "deck.json").read_text())["packages"].values()
    vendored = {each for package in packages for each in package["licence"].split(" AND ")}
    ours, *others = PROJECT["license"].split(" AND ")
    assert ours == CITATION["license"]
    assert set(others) == vendored
    notices = {"LICENSE"} | {
        str(path.relative_to(ROOT)) for path in (ROOT / "cellflow").rglob("*LICENSE*")
    }
    assert {
        str(path.relative_to(ROOT))
        for pattern in PROJECT["license-files"]
        for path in ROOT.glob(pattern)
    } == notices
    text = (deck / "LICENSE").read_text()
    assert all(f"{name} License" in text for name in ("MIT", "ISC") if name in vendored)


def test_the_versions_of_python_that_are_promised_are_tested():
    said = re.findall(r":: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    assert workflow["jobs"]["ranges"]["strategy"]["matrix"]["python"] == said
    assert PROJECT["requires-python"] == f">={said[0]}"


def test_the_listing_of_scverse_lacks_only_what_no_one_can_know_yet():
    required = {
        "name", "description", "project_home", "documentation_home", "tutorials_home", "install",
        "license", "tags", "version", "contact", "test_command", "category",
    }  # fmt: skip
    assert set(LISTING) == required
    assert {name for name, value in LISTING.items() if value is None} <= TO_FILL_IN
    assert LISTING["install"] == {"pypi": PROJECT["name"]}
    assert LISTING["license"] == CITATION["license"]
    assert len(set(LISTING["tags"])) == len(LISTING["tags"]) > 0
    assert ".[test]" in LISTING["test_command"]
    guide = (ROOT / "docs" / "releasing.md").read_text()
    assert all(f"`{name}`" in guide for name in TO_FILL_IN)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_that_are_there(workflow):
    assert called(workflow)
    assert called(workflow) <= targets()


def test_read_the_docs_calls_targets_that_are_there():
    commands = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())["build"]["commands"]
    wanted = {words.removeprefix("make ") for words in commands if words.startswith("make ")}
    assert "docs" in wanted
    assert wanted <= targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_what_they_use_and_may_do_little(workflow):
    text = workflow.read_text()
    for used in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    assert "secrets." not in text
    rules = yaml.safe_load(text)
    assert rules["permissions"] == {}
    wanted = {name: job["permissions"] for name, job in rules["jobs"].items()}
    assert wanted.pop("publish", {"id-token": "write"}) == {"id-token": "write"}
    assert all(permissions == {"contents": "read"} for permissions in wanted.values())
