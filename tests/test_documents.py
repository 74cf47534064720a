"""The documents: links that lead somewhere, every public name on an API page, pages that run."""

import importlib.util
import inspect
import re
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import pytest
from matplotlib import pyplot as plt

import cellflow as cf
from cellflow.methods import recipes
from cellflow.methods.parts import COUPLINGS, OBJECTIVES, PATHS
from cellflow.methods.sizes import SIZES
from cellflow.nets import NETS
from cellflow.training import COUPLING_BUILDERS, OBJECTIVE_BUILDERS, PATH_BUILDERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted(
    page
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "workflows").rglob("*.md")]
    if not {"_build", "generated"} & set(page.relative_to(ROOT).parts)
)


@cache
def prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(title) for title in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


def faults(page: Path) -> list[str]:
    """Relative links that lead nowhere."""
    links = re.findall(r"\]\(([^()\s]+)\)", prose(page))
    found = []
    for link in links:
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, section = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (section and section not in anchors(target)):
            found.append(link)
    return found


def listed(page: Path) -> set[str]:
    """Public names that autosummary makes pages of."""
    blocks = re.findall(
        r"^\.\. autosummary::\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return {
        line.strip() for block in blocks for line in block.splitlines() if re.match(r"   \w", line)
    }


def code(page: str) -> str:
    """The Python of a page, in one piece."""
    return "\n".join(
        re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    )


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    assert faults(page) == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_other_places_are_well_formed(page):
    for link in re.findall(r"\]\((https?:[^()\s]*)\)|<(https?:[^<>\s]*)>", prose(page)):
        parts = urlsplit("".join(link))
        assert parts.scheme == "https"
        assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lines_of_prose_are_short(page):
    formula = re.sub(r"^\$\$.*?^\$\$", "", prose(page), flags=re.DOTALL | re.MULTILINE)
    # Tables and pictures cannot be broken.
    lines = [line for line in formula.splitlines() if not line.startswith(("|", "!["))]
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_begins_as_a_comment_does(page):
    # MyST leaves out such a line; "96 %" broken between two lines makes one.
    assert re.findall(r"^ *%.*$", prose(page), re.MULTILINE) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](#one) [b](#two) [c](none.md) [d](page.md#one)\n```\n[e](gone.md)\n```\n"
    )
    assert faults(page) == ["#two", "none.md"]


def test_every_public_function_and_class_of_images_is_on_its_api_page():
    public = {name for name in cf.images.__all__ if callable(getattr(cf.images, name))}
    assert listed(DOCS / "api" / "images.md") == public


def test_every_other_package_has_an_api_page_of_its_own():
    packages = {name for name in cf.__all__ if inspect.ismodule(getattr(cf, name))}
    made = {name.removeprefix("cellflow.") for name in listed(DOCS / "api" / "index.md")}
    assert made == packages - {"images"}


@pytest.mark.parametrize("package", ["pp", "tl"])
def test_the_overview_of_a_package_names_every_verb(package):
    home = getattr(cf, package)
    assert {name for name in home.__all__ if f"`{name}`" not in home.__doc__} == set()


def test_every_other_public_name_is_on_the_page_of_the_core():
    public = {name for name in cf.__all__ if not inspect.ismodule(getattr(cf, name))}
    assert listed(DOCS / "api" / "core.md") == public


def test_constants_of_images_are_told_on_its_page():
    text = (DOCS / "api" / "images.md").read_text()
    constants = {name for name in cf.images.__all__ if name.isupper()}
    assert constants
    assert all(f"`{name}`" in text for name in constants)


def test_the_glossary_is_alphabetical_and_has_each_term_once():
    terms = re.findall(r"^([A-Za-z].*)\n  \S", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(set(terms), key=str.lower)


#: What the page on new parts adds names to.
REGISTERS = (
    COUPLINGS,
    PATHS,
    OBJECTIVES,
    COUPLING_BUILDERS,
    PATH_BUILDERS,
    OBJECTIVE_BUILDERS,
    NETS,
    SIZES,
)


@pytest.mark.slow
def test_the_page_on_new_parts_runs():
    before = [dict(register) for register in REGISTERS]
    with ExitStack() as stack:
        for register in REGISTERS:
            stack.enter_context(mock.patch.dict(register))
        exec(code("extending.md"), {"__name__": __name__})
        assert {"sliced", "rest", "even-times"} <= {*COUPLINGS, *PATHS, *OBJECTIVES}
        assert "fourier" in NETS
        assert "fourier" in SIZES
    assert [dict(register) for register in REGISTERS] == before


@pytest.mark.slow
def test_the_first_page_runs_with_a_short_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda *_, **__: None)
    short = cf.recipe("default", n_steps=10, net={"width": 4, "depth": 1})
    names = {}
    with mock.patch.dict(recipes._RECIPES, default=short):
        exec(code("getting_started.md"), names)
    plt.close("all")
    assert names["predicted"].n_obs > 500
    assert names["scores"]["time"].tolist() == [36]


def script(name: str):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_map_of_packages_is_that_of_the_import_rules():
    house = script("draw_house")
    assert house.TARGET.read_text() == house.picture(), "run python scripts/draw_house.py"
    table = re.search(r"\| row \|.*?\n\n", (DOCS / "design.md").read_text(), re.DOTALL).group()
    told = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.split("\n")[2:-2]]
    assert told == [set(names) for names in house.rows()]
    there = {path.stem for path in (ROOT / "cellflow").iterdir() if path.suffix in ("", ".py")}
    assert set().union(*told) == there - {"__init__", "__main__", "__pycache__", "py"}


def test_names_on_the_page_of_the_design_are_those_of_the_code():
    text = (DOCS / "design.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "cellflow").rglob("*.py"))
    files = set(re.findall(r"`(\w+(?:/\w+)*\.py)`", text))
    assert files
    assert {name for name in files if not (ROOT / "cellflow" / name).is_file()} == set()
    names = {name.split(".")[-1] for name in re.findall(r"`([A-Za-z_][\w.]*)`", text)} - {"py"}
    assert {name for name in names if not re.search(rf"\b{name}\b", source)} == set()
