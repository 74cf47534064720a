"""The pages on methods: one for each, with its settings as the code has them and its paper."""

import importlib.util
import re
from pathlib import Path

import pytest

import cellflow as cf
from cellflow.methods.parts import COUPLINGS, OBJECTIVES, PATHS
from cellflow.methods.presets import PRESETS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "methods"
SECTIONS = ["Idea", "Formula", "When", "Settings", "Measured"]


def citations(page):
    """Keys that a page cites."""
    found = re.findall(r"\{cite:\w+\}`([^`]+)`", page.read_text(encoding="utf-8"))
    return {key.strip() for keys in found for key in keys.split(",")}


@pytest.fixture(scope="module")
def conf():
    """The configuration of the site, which writes the tables of settings."""
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bibliography():
    """Entries of the bibliography by key."""
    text = (DOCS / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    assert len(entries) == text.count("\n@") + 1
    return dict(entries)


@pytest.mark.parametrize("name", PRESETS)
def test_a_method_has_a_page_with_its_sections_and_settings(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [each for each in sections if each in SECTIONS] == SECTIONS
    assert f"```{{include}} ../api/generated/settings-{name}.md\n" in text
    assert "$$\n" in text


def test_the_overview_and_the_menu_name_every_method():
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[`([\w-]+)`\]", text, re.MULTILINE)) == set(PRESETS)
    menu = re.search(r"```\{toctree\}.*?```", text, re.DOTALL).group().splitlines()
    assert set(PRESETS) <= set(menu)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"default"}))
def test_a_page_cites_the_paper_that_the_code_names(name, bibliography):
    [number] = re.findall(r"arXiv ([\d.]+)", PRESETS[name].source)
    cited = "".join(bibliography[key] for key in citations(PAGES / f"{name}.md"))
    assert f"eprint = {{{number}}}" in cited


@pytest.mark.parametrize("name", PRESETS)
def test_files_that_a_page_names_exist(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`(\w+(?:/\w+)*\.py)`", text))
    assert files
    assert {file for file in files if not (DOCS.parent / file).is_file()} == set()


def test_every_citation_has_an_entry_and_every_entry_is_cited(bibliography):
    pages = [page for page in DOCS.rglob("*.md") if "generated" not in page.parts]
    cited = set().union(*map(citations, pages))
    assert cited == set(bibliography)


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_of_settings_has_the_defaults_of_the_method(name, conf):
    method = cf.method(name)
    shown = {}
    for row in conf.settings_table(name).splitlines()[2:]:
        names, _, values, meaning = (cell.strip() for cell in row.strip("|").split(" | "))
        assert meaning.endswith((".", "|"))
        shown |= zip(re.findall(r"`([^`]*)`", names), re.findall(r"`([^`]*)`", values), strict=True)
    settings = {
        key: str(getattr(part, key)) for part in method.parts for key in part.setting_names()
    }
    assert shown == settings | {"asynchrony": str(method.asynchrony)}


def test_the_style_sheet_names_the_columns_of_settings_on_a_telephone(conf):
    """The head of the tables is not shown there."""
    style = (DOCS / "_static" / "cellflow.css").read_text(encoding="utf-8")
    names = re.findall(
        r"\.settings td:nth-child\((\d)\)::before \{\n    content: \"(.*) \";", style
    )
    for table in (conf.settings_table("ot-cfm"), conf.parts_table(PATHS)):
        columns = [cell.strip() for cell in table.splitlines()[0].strip("|").split(" | ")]
        assert names == [(str(k + 1), columns[k]) for k in (1, 2)]


@pytest.mark.parametrize("parts", [COUPLINGS, PATHS, OBJECTIVES])
def test_the_table_of_parts_has_every_setting_of_each(parts, conf):
    rows = [row.strip("|").split(" | ") for row in conf.parts_table(parts).splitlines()[2:]]
    named = {
        (part, key)
        for keys, owners, _, _ in rows
        for part in re.findall(r"`([^`]*)`", owners)
        for key in re.findall(r"`([^`]*)`", keys)
    }
    assert named == {(name, key) for name, each in parts.items() for key in each.setting_names()}
