"""Configuration of the documentation site; `make docs` builds it without a network.

Readers load MathJax from the network, as on most sites of scverse: without it formulas are LaTeX.
"""

import re
from collections.abc import Mapping, Sequence
from inspect import signature
from itertools import groupby
from pathlib import Path

from numpydoc.docscrape import ClassDoc, FunctionDoc

import cellflow
from cellflow import __version__
from cellflow.methods.parts import COUPLINGS, OBJECTIVES, PATHS, PartSettings
from cellflow.methods.presets import PRESETS

project = "cellflow"
author = "The cellflow developers"
copyright = "2026, the cellflow developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_templates", "api/generated/*.md"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
# Notebooks are shown as they are kept; `make tutorials` runs them.
nb_execution_mode = "off"

# `name` in a docstring is code, as in Markdown.
default_role = "code"
highlight_language = "none"
# Options begin with two hyphens, not with a dash.
smartquotes_action = "qe"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
# The pages of packages list what is in `__all__`.
autosummary_ignore_module_all = False
# `Method` and `method` are one file name where case does not count.
autosummary_filename_map = {
    "cellflow.method": "cellflow.method-function",
    "cellflow.recipe": "cellflow.recipe-function",
}
numpydoc_show_class_members = False
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
html_title = "cellflow"
html_static_path = ["_static"]
html_css_files = ["cellflow.css"]
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    # The search stands in the sidebar.
    "navbar_persistent": [],
}


#: An entry under `Returns` that names slots of an AnnData.
_SLOT = re.compile(r"`(obs|obsm|var|layers|uns)\[")


def slot_table() -> str:
    """Return a table of the slots that verbs write, read from their docstrings."""
    lines = ["| verb | slot | content |", "|---|---|---|"]
    for package in (cellflow.pp, cellflow.tl, cellflow.datasets):
        for name in package.__all__:
            verb = getattr(package, name)
            key = signature(verb).parameters.get("key_added")
            verb_name = f"`{package.__name__.removeprefix('cellflow.')}.{name}`"
            for entry in FunctionDoc(verb)["Returns"]:
                if not (_SLOT.match(entry.type) and entry.desc):
                    continue
                slot, content = entry.type, " ".join(entry.desc).replace("|", "\\|")
                if key is not None:
                    slot = re.sub(r'f"{key_added}(\w+)"', rf'"{key.default}\1"', slot)
                    slot = slot.replace("[key_added]", f'["{key.default}"]')
                lines.append(f"| {verb_name} | {slot} | {content} |")
                verb_name = ""
    return "\n".join(lines) + "\n"


def _describe_settings(model: type) -> dict[str, str]:
    """Return what docstrings of a model and its bases say of each setting."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__doc__ and "Attributes\n" in base.__doc__:
            for entry in ClassDoc(base)["Attributes"]:
                text = " ".join(entry.desc).replace("|", "\\|")
                found |= dict.fromkeys(entry.name.split(", "), text)
    return found


def _setting_rows(part: type[PartSettings], values: Mapping[str, object]) -> list[list[str]]:
    """Return name, value and meaning of a part's settings; those described together share a row."""
    meaning = _describe_settings(part)
    rows = []
    for text, group in groupby(part.setting_names(), meaning.__getitem__):
        keys = list(group)
        names, shown = (
            ", ".join(f"`{each}`" for each in cell) for cell in (keys, map(values.get, keys))
        )
        rows.append([names, shown, text])
    return rows


def _table(*rows: Sequence[str]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body]) + "\n"


def settings_table(name: str) -> str:
    """Return a table of the settings of a method, with its defaults, read from the models."""
    method = cellflow.method(name)
    rows = [
        [names, f"{part.kind} `{part.name}`", value, text]
        for part in method.parts
        for names, value, text in _setting_rows(type(part), part.model_dump())
    ]
    text = _describe_settings(cellflow.Method)["asynchrony"]
    last = ["`asynchrony`", "prediction", f"`{method.asynchrony}`", text]
    return _table(["setting", "of", "default", "meaning"], *rows, last)


def parts_table(parts: Mapping[str, type[PartSettings]]) -> str:
    """Return a table of the settings of parts, with the parts that have each."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, part in parts.items():
        defaults = {key: field.default for key, field in part.model_fields.items()}
        for row in _setting_rows(part, defaults):
            found.setdefault(tuple(row), []).append(f"`{name}`")
    rows = [[names, ", ".join(those), value, text] for (names, value, text), those in found.items()]
    return _table(["setting", "of", "default", "meaning"], *rows)


def setup(_app: object) -> None:
    """Write the tables that pages include."""
    generated = Path(__file__).parent / "api" / "generated"
    generated.mkdir(exist_ok=True)
    tables = {f"settings-{name}": settings_table(name) for name in PRESETS}
    parts = {"couplings": COUPLINGS, "paths": PATHS, "objectives": OBJECTIVES}
    tables |= {f"settings-of-{kind}": parts_table(each) for kind, each in parts.items()}
    for name, table in {"slots": slot_table(), **tables}.items():
        # The style sheet names the columns of settings where there is no room for their head.
        classes = "described settings" if name in tables else "described"
        text = f":::{{container}} {classes}\n\n{table}\n:::\n"
        (generated / f"{name}.md").write_text(text)
